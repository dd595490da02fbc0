"""Gates on the whole test split: accuracy, its distance from naming one class always, top-k, loss.

Needs no NumPy.
"""

import math
import re

from pydantic import Field

from components.gates.chance import ChanceConfig, least_above, wilson
from components.gates.result import (
    GateResult,
    at_least,
    at_most,
    not_measured,
    number,
    shown,
)


class AccuracyLimits(ChanceConfig):
    """What a model must reach on all test images. Accuracies are shares of them."""

    min_accuracy: float = Field(ge=0, le=1)
    min_top_k: float | None = Field(
        None, ge=0, le=1, description="share with the right class among the first three"
    )
    max_loss: float | None = Field(None, gt=0, description="cross-entropy, natural logarithm")


def accuracy_gates(framework: str, metrics: dict, config: AccuracyLimits) -> list[GateResult]:
    """The gates that `config` asks for, and two always: a finite loss, and an accuracy above that
    of always naming the most frequent class."""
    loss = number(metrics["loss"])
    results = [_accuracy(framework, metrics, config), _majority(framework, metrics, config)]
    finite = math.isfinite(loss)
    results.append(
        GateResult("finite_loss", "a finite number", shown(loss), finite, framework, value=loss)
    )
    if config.max_loss is not None:
        results.append(at_most("loss", framework, loss, config.max_loss, "gates.max_loss"))
    if config.min_top_k is not None:
        name = top_k(metrics) or "top_k_accuracy"
        value = number(metrics.get(name))
        results.append(at_least(name, framework, value, config.min_top_k, "gates.min_top_k"))
    return results


def top_k(metrics: dict) -> str | None:
    """The name of the top-k accuracy that was measured, if any."""
    return next((name for name in metrics if re.fullmatch(r"top_\d+_accuracy", name)), None)


def images_of(metrics: dict) -> int:
    """Test images behind the metrics, of earlier versions too; 0 where that is not known."""
    matrix = metrics.get("confusion_matrix") or []
    return int(metrics.get("images") or sum(map(sum, matrix)))


def _accuracy(framework: str, metrics: dict, config: AccuracyLimits) -> GateResult:
    """A number of few images is a coin: what is received says how far it may be off."""
    accuracy, images = number(metrics["accuracy"]), images_of(metrics)
    bound, key, value = config.min_accuracy, "gates.min_accuracy", accuracy
    expected, received = f"at least {bound:.4f} ({key})", shown(accuracy)
    confidence = config.confidence or 0.95
    low = high = math.nan
    if images and math.isfinite(accuracy):
        right = round(accuracy * images)
        low, high = wilson(right, images, confidence)
        unsure = low < bound <= high
        interval = f"{confidence * 100:.4g}% interval {low:.4f} to {high:.4f}"
        doubt = ": too few to be sure" if unsure and config.confidence is None else ""
        received += f" ({right} of {images} images, {interval}{doubt})"
    if config.confidence is not None:
        value = low
        expected = (
            f"at least {bound:.4f} ({key}) at the lower end of the interval (gates.confidence)"
        )
    return GateResult(
        "accuracy", expected, received, value >= bound, framework,
        threshold=bound, value=value, key=key,
    )  # fmt: skip


def _majority(framework: str, metrics: dict, config: AccuracyLimits) -> GateResult:
    """Whether more images are right than a model that always names the test split's most frequent
    class would have right by chance, one-sided, binomial."""
    name, key = "majority", "gates.significance"
    matrix, accuracy = metrics.get("confusion_matrix"), number(metrics["accuracy"])
    if not matrix or not images_of(metrics):
        expected = f"better than always naming the most frequent class ({key})"
        return not_measured(name, framework, expected, key)
    images, largest = sum(map(sum, matrix)), max(map(sum, matrix))
    share = largest / images
    least = least_above(images, share, config.significance)
    constant = f"always naming the most frequent class has {largest:g} of {images:g} right"
    if least is None:
        expected = f"more test images: {constant}, and all of them right could be chance ({key})"
    else:
        expected = f"at least {least / images:.4f}: {constant}, and fewer could be chance ({key})"
    return GateResult(
        name,
        expected,
        shown(accuracy),
        # Written so that NaN fails: every comparison with NaN is false.
        least is not None and accuracy >= least / images,
        framework,
        threshold=None if least is None else least / images,
        value=accuracy,
        key=key,
    )
