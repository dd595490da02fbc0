"""Gates on each class: how much of it is recognised, how often its name is right. No NumPy."""

import dataclasses
import math

from pydantic import Field

from components.base.config import Slice
from components.gates.result import (
    GateResult,
    at_least,
    failed_or_lowest,
    not_measured,
    number,
    shown,
)

_TELLING = 5
"""Test images of a class from which it counts as lost when none is recognised: a model that
recognises every second one would miss so many with a probability of 0.5**5, less than one in 20."""


class ClassLimits(Slice):
    """What every class must reach on its test images."""

    min_recall: float | None = Field(
        None,
        ge=0,
        le=1,
        description="by default above 0 for classes of 5 test images or more: none is lost; 0 lets "
        "it pass",
    )
    min_precision: float | None = Field(
        None, ge=0, le=1, description="a class that is never named has none, which fails"
    )


def class_gates(framework: str, metrics: dict, config: ClassLimits) -> list[GateResult]:
    """A result for every class that fails or, where none does, one for the lowest."""
    classes = metrics.get("per_class") or {}
    rows = metrics.get("confusion_matrix") or []
    counts = {name: int(sum(row)) for name, row in zip(classes, rows)}
    recalls = [
        _recall(framework, name, recall, counts.get(name), config.min_recall)
        for name, recall in recalls_of(classes)
    ]
    if not recalls:
        expected = "a recall for every class (gates.min_recall)"
        recalls = [not_measured("recall", framework, expected, "gates.min_recall")]
    results = failed_or_lowest(recalls)
    missed = [
        name for name, of in recalls_of(classes) if of == 0 and counts.get(name, 0) < _TELLING
    ]
    if config.min_recall is None and missed and results[0].passed:
        results = [dataclasses.replace(results[0], warning=_unjudged(framework, missed))]
    if config.min_precision is not None and classes:
        precisions = [
            at_least(
                "precision", framework, number(of.get("precision")), config.min_precision,
                "gates.min_precision", class_scope(name),
            )
            for name, of in classes.items()
        ]  # fmt: skip
        results += failed_or_lowest(precisions)
    return results


def recalls_of(classes: dict) -> list[tuple[str, float]]:
    """Each class with its recall, NaN where that was not measured."""
    return [(name, number(of.get("recall"))) for name, of in classes.items()]


def _unjudged(framework: str, missed: list[str]) -> str:
    named = ", ".join(name if name.isprintable() else ascii(name) for name in missed[:6])
    more = f" and {len(missed) - 6} more" if len(missed) > 6 else ""
    return (
        f"{framework} recognises none of the test images of {named}{more}, of which there are too "
        f"few (below {_TELLING}) to say that a class is lost: add images of them."
    )


def class_scope(name: str) -> str:
    """Of a class, whose name may hold anything."""
    return f"class {name if name.isprintable() else ascii(name)}"


def _recall(
    framework: str, name: str, recall: float, images: int | None, bound: float | None
) -> GateResult:
    key, received = "gates.min_recall", shown(recall)
    if images and math.isfinite(recall):
        received += f" ({round(recall * images)} of {images} images)"
    expected = f"at least {bound or 0:.4f} ({key})"
    if bound is None:
        expected = f"above 0, as a class may not be lost ({key}; 0 lets it pass)"
    few = images is not None and images < _TELLING
    passed = (recall > 0 or (few and recall == 0)) if bound is None else recall >= bound
    return GateResult(
        "recall", expected, received, passed, framework,
        scope=class_scope(name), threshold=bound or 0.0, value=recall, key=key,
    )  # fmt: skip
