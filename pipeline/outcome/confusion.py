"""Confusion matrices and classes as the report shows them: counts for few classes, a picture and
the most frequent confusions in words for many."""

import dataclasses
from typing import Any

import numpy as np

from pipeline.outcome import figures

FEW = 16
"""Classes up to which counts are legible in a table."""
LISTED = 10
"""Confusions that are told in words."""


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Of `of` images of the class `truth`, `count` were taken for `predicted`."""

    truth: str
    predicted: str
    count: int
    of: int


@dataclasses.dataclass(frozen=True)
class Matrix:
    """One model's confusion matrix; `rows` are (class, [(count, share of the row)]) and empty where
    a `picture` shows them."""

    framework: str
    labels: list[str]
    rows: list[tuple[str, list[tuple[int, float]]]]
    picture: str
    top: list[Confusion]


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class: test images, and by framework (recall, precision), None where not computed."""

    name: str
    images: int
    values: dict[str, tuple[float | None, float | None]]


def matrices(models: dict[str, Any]) -> list[Matrix]:
    """Those of the models that were evaluated."""
    found = []
    for framework, model in models.items():
        metrics = model.get("metrics") or {}
        if not metrics.get("confusion_matrix"):
            continue
        labels, counts = list(metrics["per_class"]), np.array(metrics["confusion_matrix"])
        few = len(labels) <= FEW
        sums = np.maximum(1, counts.sum(axis=1))
        rows = [
            (label, [(int(n), float(n / total)) for n in row])
            for label, row, total in zip(labels, counts, sums)
        ]
        picture = "" if few else figures.heat_map(framework, labels, counts)
        found.append(Matrix(framework, labels, rows if few else [], picture, top(labels, counts)))
    return found


def top(labels: list[str], counts: np.ndarray) -> list[Confusion]:
    """The most frequent confusions, of equally frequent ones the larger share of its class."""
    wrong = counts * ~np.eye(len(labels), dtype=bool)
    sums = counts.sum(axis=1)
    rows, columns = np.nonzero(wrong)
    order = np.lexsort((-wrong[rows, columns] / sums[rows], -wrong[rows, columns]))[:LISTED]
    return [
        Confusion(labels[r], labels[c], int(wrong[r, c]), int(sums[r]))
        for r, c in zip(rows[order], columns[order])
    ]


def class_rows(models: dict[str, Any]) -> list[ClassRow]:
    """All classes; where they are many, those with the lowest recall of any model first."""
    measured = {
        framework: model["metrics"]
        for framework, model in models.items()
        if (model.get("metrics") or {}).get("per_class")
    }
    if not measured:
        return []
    first = next(iter(measured.values()))
    rows = []
    for name, counts in zip(first["per_class"], first["confusion_matrix"]):
        of = {framework: metrics["per_class"][name] for framework, metrics in measured.items()}
        values = {framework: (row["recall"], row["precision"]) for framework, row in of.items()}
        rows.append(ClassRow(name, sum(counts), values))
    return sorted(rows, key=_worst) if len(rows) > FEW else rows


def _worst(row: ClassRow) -> float:
    """A class without test images has no recall, and comes last."""
    recalls = [recall for recall, _ in row.values.values() if recall is not None]
    return min(recalls, default=2.0)
