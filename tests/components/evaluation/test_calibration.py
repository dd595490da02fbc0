import math

import numpy as np
import pytest

from components.evaluation.calibration import BINS, calibration_error


def sure_of_the_first(*confidences: float) -> np.ndarray:
    return np.array([[c, 1 - c] for c in confidences], np.float32)


def test_the_error_is_the_distance_of_confidence_and_accuracy_weighted_by_answers():
    probabilities = sure_of_the_first(0.9, 0.9, 0.9, 0.9, 0.6, 0.6)
    error, bins = calibration_error(probabilities, np.array([0, 0, 0, 1, 0, 1]))
    assert error == pytest.approx(4 / 6 * (0.9 - 0.75) + 2 / 6 * (0.6 - 0.5), abs=1e-6)
    assert [b["count"] for b in bins if b["count"]] == [2, 4]
    assert [b["accuracy"] for b in bins if b["count"]] == [0.5, 0.75]
    assert sum(b["count"] for b in bins) == 6
    assert bins[0]["accuracy"] is None and bins[0]["confidence"] is None


def test_bins_are_fifteen_of_one_width_and_hold_their_upper_ends():
    probabilities = np.zeros((3, 10), np.float32)
    probabilities[:, 0] = 0.2, 0.2001, 1.0
    _, bins = calibration_error(probabilities, np.zeros(3, np.int64))
    assert len(bins) == BINS == 15
    assert [(b["low"], b["high"]) for b in bins][:2] == [(0, 1 / 15), (1 / 15, 2 / 15)]
    assert [number for number, b in enumerate(bins) if b["count"]] == [2, 3, 14]


def test_nan_is_no_small_error():
    error, bins = calibration_error(sure_of_the_first(0.9, math.nan), np.zeros(2, np.int64))
    assert math.isnan(error) and sum(b["count"] for b in bins) == 0
