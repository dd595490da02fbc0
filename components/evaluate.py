"""Evaluation: which metrics TFMA computes, and how its result reads as plain numbers."""

import math
from pathlib import Path

import numpy as np


def eval_config(classes: int) -> dict:
    """A `tfma.EvalConfig` as a dictionary: overall and sliced by class.

    Top-k uses k = 3, or one less than the number of classes where that is smaller.
    """
    k = max(1, min(3, classes - 1))
    overall = [
        {"class_name": "ExampleCount"},
        {"class_name": "SparseCategoricalAccuracy", "config": '"name": "accuracy"'},
        {
            "class_name": "SparseTopKCategoricalAccuracy",
            "config": f'"k": {k}, "name": "top_{k}_accuracy"',
        },
        {"class_name": "SparseCategoricalCrossentropy", "config": '"name": "loss"'},
        {"class_name": "MultiClassConfusionMatrixPlot"},
    ]
    per_class = [
        {"class_name": "Precision", "config": '"name": "precision"'},
        {"class_name": "Recall", "config": '"name": "recall"'},
    ]
    return {
        "model_specs": [{"label_key": "label", "prediction_key": "prediction"}],
        "metrics_specs": [
            {"metrics": overall},
            {"metrics": per_class, "binarize": {"class_ids": {"values": list(range(classes))}}},
        ],
        "slicing_specs": [{}, {"feature_keys": ["class_name"]}],
    }


def load_predictions(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities float32 (N, classes), labels int64 (N,)) as a predictor wrote them."""
    with np.load(path) as stored:
        return stored["probabilities"], stored["labels"]


def summarise(slicing_metrics: list, labels: list[str]) -> dict:
    """TFMA's `EvalResult.slicing_metrics` as `{"accuracy", "loss", ..., "per_class": {...}}`.

    A metric TFMA could not compute becomes NaN, which no gate lets pass.
    """
    by_slice = {tuple(key): outputs[""] for key, outputs in slicing_metrics}
    overall = by_slice[()]
    summary = {name: _number(value) for name, value in overall[""].items()}
    summary["per_class"] = {}
    for class_id, name in enumerate(labels):
        metrics = {k: _number(v) for k, v in overall.get(f"classId:{class_id}", {}).items()}
        one_slice = by_slice.get((("class_name", name),), {}).get("", {})
        metrics |= {k: _number(v) for k, v in one_slice.items()}
        summary["per_class"][name] = metrics
    return summary


def confusion_matrix(plots: list, classes: int) -> list[list[int]]:
    """TFMA's `EvalResult.plots` as counts (classes, classes): rows are true classes, columns
    predicted ones."""
    overall = next(outputs for key, outputs in plots if not key)
    (matrix,) = overall[""][""]["multiClassConfusionMatrixAtThresholds"]["matrices"]
    counts = np.zeros((classes, classes), np.int64)
    for entry in matrix["entries"]:
        # Protocol buffers leave out what is zero: class 0, and cells without examples.
        row, column = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        if column >= 0:  # -1 stands for no class above the threshold
            counts[row, column] = entry.get("numWeightedExamples", 0)
    return counts.tolist()


def _number(value: dict) -> float:
    return float(value.get("doubleValue", math.nan))
