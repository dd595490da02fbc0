"""TFMA's part of evaluation: predictions joined with what ingest measured, analysed on Beam."""

import os
from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.view import view_types
from tensorflow_model_analysis.writers import (
    eval_config_writer,
    metrics_plots_and_validations_writer,
)
from tfx_bsl.arrow import table_util

from components.evaluation.evaluate import eval_config
from components.evaluation.slices import feature_slices

_FEATURES = {
    "label": tf.io.FixedLenFeature([], tf.int64),
    "mean": tf.io.FixedLenFeature([], tf.float32),
    "height": tf.io.FixedLenFeature([], tf.int64),
    "width": tf.io.FixedLenFeature([], tf.int64),
}
_AT_A_TIME = 256


def table(
    probabilities: np.ndarray, labels: np.ndarray, names: list[str], split: Path
) -> pd.DataFrame:
    """One row per test image: label, prediction, class name, and its bin of each feature.

    `split` is ingest's directory of the same images; the rows of its files, in their names' order,
    are those of the packed arrays. Raises ValueError when their labels are others.
    """
    found = read_features(split)
    if not np.array_equal(found["label"], labels):
        raise ValueError(
            f"{split} holds {len(found['label'])} examples, not those of the {len(labels)} images "
            "that were predicted: run the line again from ingest."
        )
    columns = {
        "label": labels,
        "prediction": list(probabilities),
        "class_name": [names[label] for label in labels],
    }
    return pd.DataFrame(columns | feature_slices(found))


def read_features(split: Path) -> dict[str, np.ndarray]:
    """`label`, `mean`, `height` and `width` of a split's examples, each (N,), in their order."""
    files = [str(path) for path in sorted(split.iterdir()) if path.is_file()]
    batches = [
        tf.io.parse_example(serialized, _FEATURES)
        for serialized in tf.data.TFRecordDataset(files).batch(_AT_A_TIME)
    ]
    return {name: np.concatenate([of[name].numpy() for of in batches]) for name in _FEATURES}


def analyse(
    pipeline: beam.Pipeline,
    rows: pd.DataFrame,
    directory: Path,
    *,
    framework: str,
    classes: int,
    data: str,
    model: str,
) -> view_types.EvalResult:
    """Runs TFMA over the rows, writes its files into `directory` and returns its result.

    `framework` becomes the model's name, `data` and `model` are the locations that TFMA shows.
    Thresholds are no part of it: what the gates say of a model, TFMA says beside their verdict.
    """
    features = [name for name in rows.columns if name not in ("label", "prediction", "class_name")]
    told = eval_config(classes, framework, features)
    config = json_format.ParseDict(told, config_pb2.EvalConfig())
    writers = [
        eval_config_writer.EvalConfigWriter(
            str(directory),
            eval_config=config,
            data_location=data,
            data_file_format="tfrecords",
            model_locations={"": model},  # TFMA leaves the name of an only model out of its keys
        ),
        metrics_plots_and_validations_writer.MetricsPlotsAndValidationsWriter(
            output_paths={key: os.path.join(directory, key) for key in ("metrics", "plots")},
            eval_config=config,
            output_file_format="tfrecord",
        ),
    ]
    batch = table_util.CanonicalizeRecordBatch(pa.RecordBatch.from_pandas(rows))
    # `tfma.analyze_raw_data` opens a pipeline of its own, past the runner chosen for this one.
    with pipeline as p:
        _ = (
            p
            | "Predictions" >> beam.Create([batch])
            | "Evaluate" >> tfma.ExtractEvaluateAndWriteResults(eval_config=config, writers=writers)
        )
    return tfma.load_eval_result(str(directory))
