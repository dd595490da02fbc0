import numpy as np
import pytest
from google.protobuf import json_format

from components.evaluation.evaluate import confusion_matrix, eval_config, plain_metrics

LABELS = ["a", "b", "c"]


def test_the_configuration_is_one_that_tfma_parses():
    from tensorflow_model_analysis.proto import config_pb2

    told = eval_config(3, "keras", ["brightness"])
    parsed = json_format.ParseDict(told, config_pb2.EvalConfig())
    assert parsed.model_specs[0].name == "keras"
    keys = [list(spec.feature_keys) for spec in parsed.slicing_specs]
    assert keys == [[], ["class_name"], ["brightness"]]


@pytest.mark.parametrize("classes, k", [(2, 1), (3, 2), (4, 3), (100, 3)])
def test_top_k_stays_below_the_number_of_classes(classes, k):
    names = [
        metric.get("config", "") for metric in eval_config(classes)["metrics_specs"][0]["metrics"]
    ]
    assert any(f"top_{k}_accuracy" in name for name in names)


def _plots(cells: dict[tuple[int, int], float]) -> list:
    """A confusion matrix as TFMA gives it, in which zeros are left out."""
    entries = [
        {
            key: value
            for key, value in (
                ("actualClassId", row),
                ("predictedClassId", column),
                ("numWeightedExamples", count),
            )
            if value
        }
        for (row, column), count in cells.items()
    ]
    matrices = {"matrices": [{"entries": entries}]}
    return [((), {"": {"": {"multiClassConfusionMatrixAtThresholds": matrices}}})]


CELLS = {(0, 0): 1.0, (0, 1): 2.0, (2, 2): 3.0, (2, 1): 0.0}


def test_rows_of_the_confusion_matrix_are_true_classes():
    assert confusion_matrix(_plots(CELLS), 3).tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 3]]


def test_precision_and_recall_follow_from_the_matrix_and_what_is_undefined_is_none():
    overall = {"accuracy": {"doubleValue": 0.6666667}, "loss": {}}
    slice_c = {"accuracy": {"doubleValue": 1.0}}
    metrics = [((), {"": {"": overall}}), ((("class_name", "c"),), {"": {"": slice_c}})]
    summary = plain_metrics(metrics, _plots(CELLS), LABELS)
    assert summary["accuracy"] == 4 / 6 and np.isnan(summary["loss"])
    assert summary["images"] == 6 and summary["interval"] == pytest.approx(
        [0.3000, 0.9032], abs=1e-4
    )
    assert summary["per_class"]["a"] == {"precision": 1.0, "recall": pytest.approx(1 / 3)}
    assert summary["per_class"]["c"] == {"precision": 1.0, "recall": 1.0, "accuracy": 1.0}
    assert summary["per_class"]["b"]["precision"] == 0.0
    assert summary["per_class"]["b"]["recall"] is None


def test_slices_by_features_are_listed_from_low_to_high_with_their_images():
    def of_bin(name: str, accuracy: float) -> tuple:
        values = {"accuracy": {"doubleValue": accuracy}, "example_count": {"doubleValue": 3.0}}
        return (("brightness", name),), {"": {"": values}}

    overall = ((), {"": {"": {"accuracy": {"doubleValue": 0.5}}}})
    metrics = [of_bin("100 to 180", 0.6666667), overall, of_bin("9 to 99", 1.0)]
    assert plain_metrics(metrics, _plots(CELLS), LABELS)["slices"] == [
        {"feature": "brightness", "value": "9 to 99", "images": 3, "accuracy": 1.0},
        {"feature": "brightness", "value": "100 to 180", "images": 3, "accuracy": 2 / 3},
    ]


def test_an_accuracy_that_could_not_be_computed_has_no_interval():
    overall = ((), {"": {"": {"accuracy": {}}}})
    summary = plain_metrics([overall], _plots(CELLS), LABELS)
    assert np.isnan(summary["accuracy"]) and summary["interval"] is None
