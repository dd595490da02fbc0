"""What chance explains, as scipy has it."""

import numpy as np
import pytest
from scipy import stats

from components.gates.chance import above, fewer, least_above, paired
from tests.helpers.counts import COUNTS


@pytest.mark.parametrize("right, images", COUNTS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_the_tail_is_that_of_the_binomial_distribution(right, images, share):
    expected = stats.binom.sf(right - 1, images, share)
    assert above(right, images, share) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("new, old", [(0, 0), (0, 4), (0, 5), (5, 5), (3, 12), (300, 350)])
def test_the_paired_test_is_the_exact_one_of_mcnemar(new, old):
    if new + old:
        expected = stats.binomtest(old, new + old, alternative="greater").pvalue
        assert paired(new, old) == pytest.approx(expected, rel=1e-9)
    else:
        assert paired(new, old) == 1


@pytest.mark.parametrize(
    "images, share", [(4, 0.5), (5, 0.5), (120, 0.6), (378, 0.1), (10_000, 0.1)]
)
def test_the_least_number_that_is_more_than_chance(images, share):
    tails = stats.binom.sf(np.arange(images + 1) - 1, images, share)
    expected = np.flatnonzero(tails < 0.05)
    assert least_above(images, share, 0.05) == (expected[0] if len(expected) else None)


@pytest.mark.parametrize("images", [4, 10])
def test_a_chance_just_as_small_as_what_is_asked_for_is_not_below_it(images):
    chance = above(images, images, 0.5)
    assert least_above(images, 0.5, chance) is None
    assert least_above(images, 0.5, np.nextafter(chance, 1)) == images
    assert least_above(images, 1e-3, 0.05) == 1


@pytest.mark.parametrize(
    "new, before", [((33, 100), (50, 100)), ((0, 3), (3, 3)), ((9, 9), (1, 8))]
)
def test_two_samples_are_compared_by_fishers_exact_test(new, before):
    table = [[new[0], new[1] - new[0]], [before[0], before[1] - before[0]]]
    expected = stats.fisher_exact(table, alternative="less").pvalue
    assert fewer(*new, *before) == pytest.approx(expected, rel=1e-9)


def test_what_is_certain_is_not_more_than_certain():
    """Sums of rounded terms are."""
    assert fewer(3, 3, 0, 3) == 1 and above(1, 400, 0.5) == 1


def test_no_share_and_all_of_it_are_certain():
    assert above(1, 10, 0.0) == 0 and above(0, 10, 0.0) == 1 and above(10, 10, 1.0) == 1
