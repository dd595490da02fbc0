"""Calibration: whether a model that says 90% is right nine times out of ten."""

import math
from typing import Any

import numpy as np

BINS = 15


def calibration_error(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[float, list[dict[str, Any]]]:
    """The expected calibration error, 0 to 1, and the bins of the reliability diagram.

    `probabilities` float (N, classes), `labels` int (N,). Answers fall by their confidence, the
    highest probability, into 15 bins of equal width; the error is the mean over all answers of
    the distance between their bin's mean confidence and its accuracy (Guo et al. 2017,
    arXiv:1706.04599, equation 3). A bin is {"low", "high", "count", "confidence", "accuracy"}, it
    covers (low, high], and one without answers has None for the last two. NaN where a probability
    is.
    """
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    if not np.isfinite(confidence).all():
        return math.nan, [_bin(number, 0, None, None) for number in range(BINS)]
    # Rounded first, so that a float32's 0.2 lies in the bin that ends there.
    numbers = np.clip(np.ceil(np.round(confidence * BINS, 6)).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = numbers == number
        count = int(inside.sum())
        if not count:
            bins.append(_bin(number, 0, None, None))
            continue
        sure, accuracy = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append(_bin(number, count, sure, accuracy))
        error += count / len(labels) * abs(accuracy - sure)
    return error, bins


def _bin(
    number: int, count: int, confidence: float | None, accuracy: float | None
) -> dict[str, Any]:
    return {
        "low": number / BINS,
        "high": (number + 1) / BINS,
        "count": count,
        "confidence": confidence,
        "accuracy": accuracy,
    }
