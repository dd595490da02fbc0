"""What chance explains: intervals and exact tests of counts. Standard library and pydantic only.

scipy.stats has all of it (`binomtest`, `binom`, `fisher_exact`; the tests compare with it), but
brings NumPy, which what decides by configuration and counts alone must not need.
"""

import math

from pydantic import Field

from components.base.config import Slice
from serving.contract.interval import wilson as wilson  # one of them, found here by gates


class ChanceConfig(Slice):
    """How sure gates on counts want to be."""

    significance: float = Field(
        0.05,
        gt=0,
        le=1,
        description="a difference counts where chance makes one like it less often than that",
    )
    confidence: float | None = Field(
        None, ge=0.5, lt=1, description="the lower end of this interval must reach min_accuracy"
    )


def paired(only_new: int, only_old: int) -> float:
    """The probability that of two equally good models the new one loses so many images or more.

    `only_new` images are answered rightly by the new one alone, `only_old` by the old one alone;
    each is a toss of a coin (McNemar 1947; exact and one-sided).
    """
    return above(only_old, only_new + only_old, 0.5)


def above(right: int, images: int, share: float) -> float:
    """The probability of `right` or more of `images` where each is right with probability `share`:
    the upper tail of the binomial distribution."""
    if right <= 0:
        return 1.0
    if not 0 < share < 1:
        return float(share >= 1)
    logs = (
        _log_choose(images, k) + k * math.log(share) + (images - k) * math.log1p(-share)
        for k in range(right, images + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def least_above(images: int, share: float, significance: float) -> int | None:
    """The smallest number right of `images` that `share` explains with a probability below
    `significance`; None where even all of them being right would not be that unlikely."""
    low, high = 0, images + 1
    while low < high:
        middle = (low + high) // 2
        if above(middle, images, share) < significance:
            high = middle
        else:
            low = middle + 1
    return low if low <= images else None


def fewer(right: int, images: int, right_before: int, images_before: int) -> float:
    """The probability that of two samples of one population the first has so few right or fewer:
    Fisher's exact test, one-sided (Fisher 1922)."""
    total, everything = right + right_before, images + images_before
    logs = (
        _log_choose(images, k) + _log_choose(images_before, total - k)
        for k in range(max(0, total - images_before), right + 1)
    )
    whole = _log_choose(everything, total)
    return min(1.0, math.fsum(math.exp(log - whole) for log in logs))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
