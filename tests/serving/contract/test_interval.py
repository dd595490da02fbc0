"""The interval of a share, as scipy has it."""

import pytest
from scipy import stats

from serving.contract.interval import wilson
from tests.helpers.counts import COUNTS


@pytest.mark.parametrize("right, images", COUNTS)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_interval_is_wilsons(right, images, confidence):
    expected = stats.binomtest(right, images).proportion_ci(confidence, method="wilson")
    low, high = wilson(right, images, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low <= right / images <= high
