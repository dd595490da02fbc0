"""Gates on each class: how much of it is recognised, how often its name is right. No NumPy."""

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


class ClassLimits(Slice):
    """What every class must reach on its test images."""

    min_recall: float | None = Field(
        None, ge=0, le=1, description="by default above 0: no class is lost; 0 lets it pass"
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
        _recall(framework, name, number(of.get("recall")), counts.get(name), config.min_recall)
        for name, of in classes.items()
    ]
    if not recalls:
        expected = "a recall for every class (gates.min_recall)"
        recalls = [not_measured("recall", framework, expected, "gates.min_recall")]
    results = failed_or_lowest(recalls)
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
    passed = recall > 0 if bound is None else recall >= bound
    return GateResult(
        "recall", expected, received, passed, framework,
        scope=class_scope(name), threshold=bound or 0.0, value=recall, key=key,
    )  # fmt: skip
