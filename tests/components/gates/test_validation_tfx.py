"""TFMA says what BLESSED says, whichever gate it is that decides, of one real evaluation."""

import math

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions

from components.evaluation.analysis_tfx import analyse, table
from components.evaluation.evaluate import plain_metrics
from components.gates import validation_tfx
from components.gates.comparison import Comparison
from components.gates.model_gates import GatesConfig, judge
from tests.helpers.model_metrics import answering, metrics_of

NAMES = ["cat", "dog", "fox"]
LABELS = np.arange(90) % 3
ANSWERS = np.where(np.arange(90) < 14, (LABELS + 1) % 3, LABELS)  # 76 of 90 right


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Examples of ingest in two files: ever brighter, and every other one larger."""
    directory = tmp_path_factory.mktemp("examples") / "Split-test"
    directory.mkdir()
    for number, rows in enumerate((range(60), range(60, 90))):
        file = directory / f"data_tfrecord-{number:05d}-of-00002"
        with tf.io.TFRecordWriter(str(file)) as writer:
            for row in rows:
                example = tf.train.Example()
                feature = example.features.feature
                feature["label"].int64_list.value.append(int(LABELS[row]))
                feature["mean"].float_list.value.append(row / 255)
                feature["height"].int64_list.value.append(8)
                feature["width"].int64_list.value.append(8 + row % 2)
                writer.write(example.SerializeToString())
    return directory


@pytest.fixture(scope="module")
def evaluated(split, tmp_path_factory):
    """Directory and metrics of an evaluation."""
    directory = tmp_path_factory.mktemp("evaluation")
    rows = table(answering(ANSWERS, 3), LABELS, NAMES, split)
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    result = analyse(
        pipeline, rows, directory, framework="torch", classes=3, data=str(split), model="/model"
    )
    return directory, plain_metrics(result.slicing_metrics, result.plots, NAMES)


def test_the_metrics_are_those_of_the_predictions(evaluated):
    _, metrics = evaluated
    expected = metrics_of(answering(ANSWERS, 3), LABELS, NAMES)
    for key in ("accuracy", "images", "interval", "confusion_matrix"):
        assert metrics[key] == expected[key]
    assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    for name in NAMES:
        assert expected["per_class"][name].items() <= metrics["per_class"][name].items()


def test_slices_of_brightness_and_size_count_the_images_in_them(evaluated):
    _, metrics = evaluated
    assert [tuple(row.values()) for row in metrics["slices"]] == [
        ("brightness", "0 to 29", 30, 16 / 30),
        ("brightness", "30 to 59", 30, 1.0),
        ("brightness", "60 to 89", 30, 1.0),
        ("size", "64", 45, 38 / 45),
        ("size", "72", 45, 38 / 45),
    ]


def test_examples_that_are_not_those_of_the_predictions_are_refused(split):
    with pytest.raises(ValueError, match="holds 90 examples, not those of the 89 images"):
        table(answering(ANSWERS, 3)[:89], LABELS[:89], NAMES, split)


def test_model_and_data_are_named_in_the_evaluation(evaluated):
    directory, _ = evaluated
    result = tfma.load_eval_result(str(directory))
    assert result.config.model_specs[0].name == "torch"
    assert result.model_location == "/model" and result.data_location.endswith("Split-test")
    (again,) = tfma.load_eval_results(str(directory))._results
    assert len(again.slicing_metrics) == 1 + 3 + 3 + 2


EXACT = 76 / 90
LOSS = metrics_of(answering(ANSWERS, 3), LABELS)["loss"]
WORSE = Comparison(1, "current", 1.0, "on the same test images", 90, 0, 14)
LIMITS = {
    "the accuracy is just reached": ({"min_accuracy": EXACT}, {}, []),
    "and just not": ({"min_accuracy": math.nextafter(EXACT, 1)}, {}, []),
    "the accuracy is too low": ({"min_accuracy": 0.9}, {}, []),
    "its interval is": ({"min_accuracy": 0.8, "confidence": 0.95}, {}, []),
    "the loss is just reached": ({"max_loss": LOSS * (1 + 1e-7)}, {}, []),
    "the loss is too high": ({"max_loss": LOSS * 0.99}, {}, []),
    "top-k": ({"min_top_k": 1.0}, {}, []),
    "recall": ({"min_recall": 0.9}, {}, []),
    "recall is just reached": ({"min_recall": 25 / 30}, {}, []),
    "precision": ({"min_precision": 0.95}, {}, []),
    "calibration": ({"max_calibration_error": 0.01}, {"calibration": {"error": 0.1}}, []),
    "robustness, not measured": ({"min_robustness": 0.5}, {}, []),
    "the release was better": ({}, {}, [WORSE]),
    "a loss that is no number": ({}, {"loss": math.nan}, []),
}


@pytest.mark.parametrize("case", LIMITS)
def test_tfmas_validation_agrees_with_the_gates(evaluated, tmp_path, case):
    directory, metrics = evaluated
    limits, measured, comparisons = LIMITS[case]
    config = GatesConfig(**{"min_accuracy": 0.5} | limits)
    gates = judge("torch", metrics | measured, comparisons, config)
    validation_tfx.write(directory, tmp_path / "tfma", gates, config)
    result = tfma.load_validation_result(str(tmp_path / "tfma"))
    failed = [gate for gate in gates if not gate.passed]
    assert result.validation_ok == (not failed)
    assert not result.missing_thresholds and not result.missing_slices
    told = {f.message for of in result.metric_validations_per_slice for f in of.failures}
    assert {gate.sentence() for gate in failed} <= told
    # The directory is an evaluation like any other.
    assert tfma.load_eval_result(str(tmp_path / "tfma")).plots


def test_both_kinds_of_verdict_are_among_the_cases(evaluated):
    _, metrics = evaluated
    passed = []
    for limits, measured, comparisons in LIMITS.values():
        config = GatesConfig(**{"min_accuracy": 0.5} | limits)
        gates = judge("torch", metrics | measured, comparisons, config)
        passed.append(all(gate.passed for gate in gates))
    assert sum(passed) == 4 and len(passed) == 14


def test_tfma_itself_fails_what_its_thresholds_can_express(evaluated, tmp_path):
    directory, metrics = evaluated
    config = GatesConfig(min_accuracy=0.9, max_loss=0.1, min_recall=0.9)
    gates = judge("torch", metrics, [], config)
    validation_tfx.write(directory, tmp_path / "tfma", gates, config)
    result = tfma.load_validation_result(str(tmp_path / "tfma"))
    own = [
        (tuple(key.column for key in of.slice_key.single_slice_keys), failure.metric_key.name)
        for of in result.metric_validations_per_slice
        for failure in of.failures
        if not failure.message
    ]
    assert {((), "accuracy"), ((), "loss"), (("class_name",), "accuracy")} == set(own)
