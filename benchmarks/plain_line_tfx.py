"""A plain TFX line, in a process of its own: `python -m benchmarks.plain_line_tfx ARGUMENTS`.

TFX's standard components as its tutorials wire them, from TFRecords of tf.Examples to a pushed
SavedModel. Where these leave a choice it is made in their favour: no statistics of transformed
images, no source package of TFX for each Beam step, no TensorBoard.
"""

import argparse
import json
import math
from collections import Counter
from pathlib import Path

import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import StandardOptions
from tensorflow_model_analysis.proto import config_pb2
from tfx.components import Evaluator, Pusher, Trainer
from tfx.orchestration import metadata
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2

from benchmarks.plain_steps_tfx import plain_steps
from benchmarks.steps_tfx import steps
from benchmarks.tutorial import BATCH
from components.sources.source import SPLITS

_MODEL = "benchmarks.plain_model_tfx"
_BEAM = ["--runner=FnApiRunner", "--sdk_container_image=unused"]
"""As the line has it: Beam's default local runner would be downloaded, and without a packaging
option TFX would build a source package of itself for every Beam step."""


def build(records: Path, root: Path, counts: dict[str, int], epochs: int) -> Pipeline:
    """The pipeline over `records`, with `counts` images in its splits."""
    patterns = {split: f"{split}.tfrecord" for split in SPLITS}
    first = plain_steps(records, patterns, f"{_MODEL}.preprocessing_fn")
    per_epoch = {split: math.ceil(count / BATCH) for split, count in counts.items()}
    trainer = Trainer(
        run_fn=f"{_MODEL}.run_fn",
        examples=first.transform.outputs["transformed_examples"],
        transform_graph=first.transform.outputs["transform_graph"],
        schema=first.schema.outputs["schema"],
        train_args=trainer_pb2.TrainArgs(splits=["train"], num_steps=epochs * per_epoch["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["val"], num_steps=per_epoch["val"]),
        custom_config={"epochs": epochs},
    )
    evaluator = Evaluator(
        examples=first.examples.outputs["examples"],
        example_splits=["test"],
        model=trainer.outputs["model"],
        eval_config=_eval_config(),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(root / "pushed"))
        ),
    )
    return Pipeline(
        pipeline_name="plain",
        pipeline_root=str(root / "artifacts"),
        components=[*first, trainer, evaluator, pusher],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
        beam_pipeline_args=_BEAM,
    )


def _eval_config() -> config_pb2.EvalConfig:
    """Accuracy over all images, with a bound as low as the line's own in the benchmark, and for
    each class, of which a short training may know nothing."""
    everything = config_pb2.SlicingSpec()
    bound = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[everything],
        threshold=config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": 0.001})
        ),
    )
    accuracy = config_pb2.MetricConfig(
        class_name="SparseCategoricalAccuracy", per_slice_thresholds=[bound]
    )
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="serving_default", label_key="label", model_type=tfma.TF_GENERIC
            )
        ],
        slicing_specs=[everything, config_pb2.SlicingSpec(feature_keys=["label"])],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[accuracy, count])],
    )


def result(root: Path) -> dict:
    """What the line came to: `pushed`, `accuracy` and the number of `images` that it was measured
    on, `classes` that were sliced, `steps`."""
    (evaluation,) = root.glob("artifacts/Evaluator/evaluation/*")
    slices = dict(tfma.load_eval_result(str(evaluation)).slicing_metrics)
    metrics = slices[()][""][""]
    return {
        "pushed": len(list(root.glob("pushed/*/saved_model.pb"))) == 1,
        "accuracy": metrics["sparse_categorical_accuracy"]["doubleValue"],
        "images": int(metrics["example_count"]["doubleValue"]),
        "classes": Counter(len(key) for key in slices)[1],
        "steps": steps(root / "metadata.sqlite"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="with SPLIT.tfrecord")
    parser.add_argument("--root", type=Path, required=True, help="for all that the line writes")
    parser.add_argument("--result", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--counts", type=int, nargs=len(SPLITS), required=True, metavar="N")
    arguments = parser.parse_args()
    StandardOptions.DEFAULT_RUNNER = "FnApiRunner"  # of the DAG itself, which gets none
    counts = dict(zip(SPLITS, arguments.counts))
    arguments.root.mkdir(parents=True, exist_ok=True)
    BeamDagRunner().run(build(arguments.records, arguments.root, counts, arguments.epochs))
    arguments.result.write_text(json.dumps(result(arguments.root)))


if __name__ == "__main__":
    main()
