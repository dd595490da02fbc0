"""The gate on change: a model may not be worse than the current release, nor than the best ever.

A loss counts when it is larger than what is allowed and than what chance explains: on the same
images by McNemar's exact test, else by Fisher's. Against the best ever it keeps steps down from
adding up that are each too small to see. The best of many is lucky and has to be missed by more:
both comparisons share the significance, and the best one's share is divided by the number of
releases that it was chosen from (Bonferroni). So no more good models are refused than that, however
many releases there are. Needs no NumPy.
"""

import math
from collections.abc import Iterable

from pydantic import Field

from components.gates.accuracy_gates import images_of
from components.gates.chance import ChanceConfig, fewer, paired
from components.gates.comparison import Comparison
from components.gates.result import GateResult, number, shown

CHANGE_OF_DATA = 0.01
"""Chance lowers a release's accuracy on other test images so far in one of a hundred runs."""

_NAMES = {"current": "accuracy_against_release", "best": "accuracy_against_best"}


class ChangeLimits(ChanceConfig):
    """What a model may lose against those before it."""

    max_regression: float = Field(
        0.01,
        ge=0,
        le=1,
        description="accuracy it may lose against the current and the best release",
    )
    best_since: int = Field(
        1, ge=1, description="releases of versions before it no longer count as the best"
    )


def change_gates(
    framework: str, metrics: dict, comparisons: Iterable[Comparison], config: ChangeLimits
) -> list[GateResult]:
    """One result for each comparison; none without a release yet."""
    asked = [
        other
        for other in comparisons
        if other.kind == "current" or other.version >= config.best_since
    ]
    return [
        _change(framework, metrics, other, config, config.significance / len(asked) / other.among)
        for other in asked
    ]


def _change(
    framework: str, metrics: dict, other: Comparison, config: ChangeLimits, significance: float
) -> GateResult:
    accuracy, before = number(metrics["accuracy"]), number(other.accuracy)
    floor, key = before - config.max_regression, "gates.max_regression"
    measured = math.isfinite(accuracy) and math.isfinite(before)
    chance, words = _chance(accuracy, metrics, other) if measured else (None, "")
    which = f", the best of {other.among}," if other.kind == "best" else ""
    return GateResult(
        _NAMES[other.kind],
        f"at least {shown(floor)} (release {other.version}{which} has {shown(before)} "
        f"{other.source}, {key} is {config.max_regression:g}), or a loss that chance explains "
        f"(p from {significance:.2g})",
        shown(accuracy) + (f" ({words})" if words else ""),
        accuracy >= floor or (chance is not None and chance >= significance),
        framework,
        threshold=floor,
        value=accuracy,
        key=key,
    )


def _chance(accuracy: float, metrics: dict, other: Comparison) -> tuple[float | None, str]:
    """The probability of such a loss by chance, None where that cannot be told, and the counts."""
    if other.only_new_right is not None and other.only_old_right is not None:
        chance = paired(other.only_new_right, other.only_old_right)
        return chance, (
            f"of {other.images} images {other.only_old_right} right before and wrong now, "
            f"{other.only_new_right} the other way round, p = {chance:.2g}"
        )
    images = images_of(metrics)
    if not images or not other.images:
        return None, ""
    right, before = round(accuracy * images), round(other.accuracy * other.images)
    chance = fewer(right, images, before, other.images)
    return chance, f"of {images} images, {other.images} before, p = {chance:.2g}"


def change_of_data(comparisons: Iterable[Comparison]) -> list[GateResult]:
    """Whether the current release is as good on today's test images as on those it was judged by.

    It always passes, as the model that is judged has no part in it; a release that lost more than
    chance explains is a warning: the images or their labels are others.
    """
    results = []
    for other in comparisons:
        before, images = other.released_accuracy, other.released_images
        if other.kind != "current" or not (before and images and other.images):
            continue
        if other.only_new_right is None:  # it was not run on today's images
            continue
        right = round(other.accuracy * other.images)
        chance = fewer(right, other.images, round(before * images), images)
        lost = chance < CHANGE_OF_DATA
        received = f"{other.accuracy:.4f} of {other.images} (p = {chance:.2g})"
        told = (
            f"release {other.version} was right on {before:.4f} of its own {images} test images "
            f"and is on {other.accuracy:.4f} of today's {other.images}, which chance does not "
            "explain: the images or their labels have changed, and the bar that it sets has "
            "fallen with them. Look at the data before you trust this run's comparison."
        )
        results.append(
            GateResult(
                "release_on_todays_data",
                f"what release {other.version} had when it was released, {before:.4f} of "
                f"{images}, but for chance",
                received,
                True,
                threshold=before,
                value=other.accuracy,
                warning=told if lost else None,
            )
        )
    return results
