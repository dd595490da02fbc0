"""The interval of a share, as scipy has it."""

import pytest
from scipy import stats

from serving.contract.interval import wilson

COUNTS = [
    (0, 1),
    (1, 1),
    (0, 10),
    (13, 13),
    (0, 80),
    (77, 80),
    (80, 80),
    (395, 404),
    (9_913, 10_000),
]


@pytest.mark.parametrize("right, images", COUNTS)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_interval_is_wilsons(right, images, confidence):
    expected = stats.binomtest(right, images).proportion_ci(confidence, method="wilson")
    low, high = wilson(right, images, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low <= right / images <= high
