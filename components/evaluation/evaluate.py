"""Evaluation: which metrics TFMA computes, and how its result reads as plain numbers."""

import math
from typing import Any

import numpy as np


def eval_config(classes: int) -> dict:
    """A `tfma.EvalConfig` as a dictionary: overall and sliced by class.

    Top-k uses k = 3, or one less than the number of classes where that is smaller.
    """
    k = max(1, min(3, classes - 1))
    metrics = [
        {"class_name": "ExampleCount"},
        {"class_name": "SparseCategoricalAccuracy", "config": '"name": "accuracy"'},
        {
            "class_name": "SparseTopKCategoricalAccuracy",
            "config": f'"k": {k}, "name": "top_{k}_accuracy"',
        },
        {"class_name": "SparseCategoricalCrossentropy", "config": '"name": "loss"'},
        {"class_name": "MultiClassConfusionMatrixPlot"},
    ]
    return {
        "model_specs": [{"label_key": "label", "prediction_key": "prediction"}],
        "metrics_specs": [{"metrics": metrics}],
        "slicing_specs": [{}, {"feature_keys": ["class_name"]}],
    }


def plain_metrics(slicing_metrics: list, plots: list, labels: list[str]) -> dict:
    """TFMA's `EvalResult` as `{"accuracy", "loss", ..., "confusion_matrix", "per_class"}`.

    `per_class` holds each class's slice and its precision and recall. These follow from TFMA's
    confusion matrix, where the most probable class counts as the answer; TFMA's own binarized
    metrics would ask for a probability above one half, and take nearly three times as long.
    `accuracy` is exact, from the same counts (TFMA's is a float32). A metric that could not be
    computed is NaN, which no gate lets pass; per class it is None (precision of a class never
    predicted).
    """
    by_slice = {tuple(key): outputs[""][""] for key, outputs in slicing_metrics}
    matrix = confusion_matrix(plots, len(labels))
    summary: dict[str, Any] = {name: _number(value) for name, value in by_slice[()].items()}
    if not math.isnan(summary["accuracy"]):
        summary["accuracy"] = float(matrix.trace() / matrix.sum())
    summary["per_class"] = {}
    for row, name in enumerate(labels):
        metrics = by_slice.get((("class_name", name),), {})
        summary["per_class"][name] = {
            "precision": _ratio(matrix[row, row], matrix[:, row].sum()),
            "recall": _ratio(matrix[row, row], matrix[row].sum()),
            **{metric: value.get("doubleValue") for metric, value in metrics.items()},
        }
    summary["confusion_matrix"] = matrix.tolist()
    return summary


def confusion_matrix(plots: list, classes: int) -> np.ndarray:
    """TFMA's `EvalResult.plots` as counts, int64 (classes, classes): rows are true classes,
    columns predicted ones."""
    overall = next(outputs for key, outputs in plots if not key)
    (matrix,) = overall[""][""]["multiClassConfusionMatrixAtThresholds"]["matrices"]
    counts = np.zeros((classes, classes), np.int64)
    for entry in matrix["entries"]:
        # Protocol buffers leave out what is zero: class 0, and cells without examples.
        row, column = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        if column >= 0:  # -1 stands for no class above the threshold
            counts[row, column] = entry.get("numWeightedExamples", 0)
    return counts


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _number(value: dict) -> float:
    return float(value.get("doubleValue", math.nan))
