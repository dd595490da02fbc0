"""Evaluation: which metrics TFMA computes, and how its result reads as plain numbers."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import stats

from components.evaluation.slices import FEATURES, in_order

RIGHT = "right.npy"
"""Beside metrics.json: which test images the model names rightly, bool (N,), in their order."""


def eval_config(classes: int, model: str = "", features: Iterable[str] = ()) -> dict:
    """A `tfma.EvalConfig` as a dictionary: overall, sliced by class, and by each of `features`.

    Top-k uses k = 3, or one less than the number of classes where that is smaller. What a gate
    asks for is no part of it: another limit must not have a model evaluated again.
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
        "model_specs": [{"name": model, "label_key": "label", "prediction_key": "prediction"}],
        "metrics_specs": [{"metrics": metrics}],
        "slicing_specs": [{}, *({"feature_keys": [key]} for key in ("class_name", *features))],
    }


def plain_metrics(slicing_metrics: list, plots: list, labels: list[str]) -> dict:
    """TFMA's `EvalResult` as `{"accuracy", "loss", ..., "confusion_matrix", "per_class"}`, with
    `images`, the 95% `interval` of the accuracy (Wilson) and `slices` by FEATURES.

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
    summary["images"], summary["interval"] = int(matrix.sum()), None
    if not math.isnan(summary["accuracy"]):
        summary["accuracy"] = float(matrix.trace() / matrix.sum())
        found = stats.binomtest(int(matrix.trace()), summary["images"])
        interval = found.proportion_ci(0.95, method="wilson")
        summary["interval"] = [float(interval.low), float(interval.high)]
    summary["per_class"] = {}
    for row, name in enumerate(labels):
        metrics = by_slice.get((("class_name", name),), {})
        summary["per_class"][name] = {
            "precision": _ratio(matrix[row, row], matrix[:, row].sum()),
            "recall": _ratio(matrix[row, row], matrix[row].sum()),
            **{metric: value.get("doubleValue") for metric, value in metrics.items()},
        }
    summary["confusion_matrix"] = matrix.tolist()
    summary["slices"] = _slices(by_slice)
    return summary


def _slices(by_slice: dict[tuple, dict]) -> list[dict[str, Any]]:
    """`{"feature", "value", "images", "accuracy"}` of each bin, from low to high."""
    rows = []
    for key, metrics in by_slice.items():
        if key and key[0][0] in FEATURES:
            (feature, value), images = key[0], int(_number(metrics["example_count"]))
            accuracy = _number(metrics["accuracy"])
            if not math.isnan(accuracy):
                accuracy = round(accuracy * images) / images  # exact: TFMA's is a float32
            row = {"feature": feature, "value": value, "images": images, "accuracy": accuracy}
            rows.append(row)
    return sorted(rows, key=lambda row: (row["feature"], in_order(row["value"])))


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
