import numpy as np
import pytest
from google.protobuf import json_format

from components.evaluate import confusion_matrix, eval_config, summarise

LABELS = ["a", "b", "c"]


def test_the_configuration_is_one_that_tfma_parses():
    from tensorflow_model_analysis.proto import config_pb2

    parsed = json_format.ParseDict(eval_config(3), config_pb2.EvalConfig())
    assert [list(s.feature_keys) for s in parsed.slicing_specs] == [[], ["class_name"]]


@pytest.mark.parametrize("classes, k", [(2, 1), (3, 2), (4, 3), (100, 3)])
def test_top_k_stays_below_the_number_of_classes(classes, k):
    names = [
        metric.get("config", "") for metric in eval_config(classes)["metrics_specs"][0]["metrics"]
    ]
    assert any(f"top_{k}_accuracy" in name for name in names)


def test_a_metric_tfma_could_not_compute_is_nan():
    overall = {"": {"accuracy": {"doubleValue": 0.5}, "loss": {}}, "classId:0": {}}
    summary = summarise([((), {"": overall})], LABELS)
    assert summary["accuracy"] == 0.5 and np.isnan(summary["loss"])


def test_rows_of_the_confusion_matrix_are_true_classes():
    entries = [
        {"numWeightedExamples": 1.0},
        {"predictedClassId": 1, "numWeightedExamples": 2.0},
        {"actualClassId": 2, "predictedClassId": 2, "numWeightedExamples": 3.0},
        {"actualClassId": 2, "predictedClassId": 1},
    ]
    matrices = {"matrices": [{"entries": entries}]}
    plots = [((), {"": {"": {"multiClassConfusionMatrixAtThresholds": matrices}}})]
    assert confusion_matrix(plots, 3) == [[1, 2, 0], [0, 0, 0], [0, 0, 3]]
