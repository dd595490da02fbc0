"""What the report tells of the images: what became of every file, by reason, split and class."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from components.sources.source import SPLITS
from pipeline.outcome.words import Table

FINDINGS = {
    "quarantined": "Quarantined",
    "relabelled": "Another class than in the current release",
    "duplicate": "Duplicates dropped",
    "conflicting_label": "Same pixels under several classes",
    "near_duplicate": "Look-alikes across splits",
    "copy": "Same pixels again inside a split",
    "moved": "Into or out of the test split since the current release",
    "reencoded": "Re-encoded without loss",
    "ignored": "Ignored",
}
"""Kinds of findings (`components/data/accounting.py`) and their titles, most important first."""

DRIFTING = {
    "mean": "brightness",
    "std": "contrast",
    "class_name": "class shares",
}
"""Features that have another name for people than for TFDV."""

FEW = 20
"""Classes up to which each is listed by default."""


def counts(data: dict[str, Any]) -> dict[str, int]:
    """How many findings there are of each kind; the verdict lists the first hundred."""
    return {
        "quarantined": data["quarantined"],
        "relabelled": data.get("relabelled", 0),
        "duplicate": data["duplicates"],
        "conflicting_label": data["conflicting_labels"],
        "near_duplicate": data["near_duplicates"],
        "copy": data.get("copies", 0),
        "moved": data.get("moved", 0),
        "reencoded": sum(data["reencoded"].values()),
        "ignored": data["ignored"],
    }


def reasons(data: dict[str, Any], findings: Path) -> Table | None:
    """How many files of each finding and reason, counted in `findings.csv` where it is there."""
    total = {kind: count for kind, count in counts(data).items() if count}
    rows = []
    for kind, count in total.items():
        if kind != "quarantined":
            rows.append((FINDINGS[kind], f"{count:,}"))
            continue
        for reason, n in _details(data, findings).most_common():
            rows.append((f"{FINDINGS[kind]}: {reason.replace('_', ' ')}", f"{n:,}"))
    return Table(("reason", "files"), rows, range(1, 2)) if rows else None


def _details(data: dict[str, Any], findings: Path) -> Counter[str]:
    """Quarantined files by reason; the rest under one name where only the listed ones are known."""
    if findings.is_file():
        with findings.open(newline="", encoding="utf-8", errors="backslashreplace") as file:
            rows = [r for r in csv.DictReader(file) if r.get("finding") == "quarantined"]
        found = Counter(row["detail"] for row in rows)
        if found.total() == data["quarantined"]:
            return found
    found = Counter(item["detail"] for item in data["findings"].get("quarantined", []))
    if rest := data["quarantined"] - found.total():
        found["of other reasons"] = rest
    return found


def splits(data: dict[str, Any]) -> Table | None:
    """Good images by class and split where there are few classes; otherwise each split's extent."""
    by_split = {split: found for split, found in data["splits"].items() if found}
    if not by_split:
        return None
    classes = next(iter(by_split.values()))
    if len(classes) > FEW:
        head = ("split", "images", "classes", "smallest class", "largest class")
        return Table(head, [_extent(split, n) for split, n in by_split.items()], range(1, 5))
    rows = [(name, *(f"{n.get(name, 0):,}" for n in by_split.values())) for name in classes]
    totals = ("all", *(f"{sum(n.values()):,}" for n in by_split.values()))
    return Table(("class", *by_split), [*rows, totals], range(1, len(by_split) + 1))


def _extent(split: str, images: dict[str, int]) -> tuple[str, ...]:
    least, most = min(images, key=images.__getitem__), max(images, key=images.__getitem__)
    filled = sum(map(bool, images.values()))
    return (
        split,
        f"{sum(images.values()):,}",
        f"{filled:,} of {len(images):,}",
        f"{images[least]:,} ({least})",
        f"{images[most]:,} ({most})",
    )


def came_and_went(data: dict[str, Any]) -> Table | None:
    """Images added and removed since the release, of each class and split in which there are any;
    of many classes those with most changes."""
    since = data.get("since_release") or {}
    added, removed = since.get("added"), since.get("removed")
    if added is None or removed is None:
        return None
    totals: Counter[str] = Counter()
    for counts in (*added.values(), *removed.values()):
        totals.update(counts)
    if not totals:
        return None
    shown = [name for name, _ in sorted(totals.items(), key=lambda row: (-row[1], row[0]))]
    rest = shown[FEW:]
    rows = [
        (name, *(_change([name], split, added, removed) for split in SPLITS))
        for name in shown[:FEW]
    ]
    if rest:
        others = (_change(rest, split, added, removed) for split in SPLITS)
        rows.append((f"{len(rest):,} more classes", *others))
    rows.append(("all", *(_change(shown, split, added, removed) for split in SPLITS)))
    return Table(("class", *SPLITS), rows, range(1, 4))


def _change(names: list[str], split: str, added: dict, removed: dict) -> str:
    """`+30 −2`, or nothing."""
    counts = [sum(kind.get(split, {}).get(n, 0) for n in names) for kind in (added, removed)]
    return " ".join(f"{sign}{count:,}" for sign, count in zip("+−", counts) if count)


def drift(data: dict[str, Any]) -> Table | None:
    """How far each feature is from the release's, as TFDV measured it."""
    found = (data.get("since_release") or {}).get("drift")
    if not found:
        return None
    rows = [
        (
            DRIFTING.get(name, name),
            *("" if (value := of.get(split)) is None else f"{value:.3f}" for split in SPLITS),
        )
        for name, of in found.items()
    ]
    return Table(("feature", *SPLITS), rows, range(1, 4))


def account(data: dict[str, Any]) -> Table:
    """Every split's and class's read = good + quarantined + duplicates."""
    keys = ("read", "good", "quarantined", "duplicates")
    rows = [
        (
            f"{row['split']}: {'(none)' if row['label'] is None else row['label']}",
            *(f"{row[k]:,}" for k in keys),
        )
        for row in data["accounting"]
    ]
    return Table(("split: class", *keys), rows, range(1, 5))


def findings(data: dict[str, Any]) -> list[tuple[str, int, Table]]:
    """(title, how many there are, those that the verdict lists) of each kind."""
    found = []
    for kind, title in FINDINGS.items():
        if items := data["findings"].get(kind):
            rows = [
                (item["name"], item["split"], item["label"], item["detail"], str(item["size"]))
                for item in items
            ]
            table = Table(("file", "split", "class", "detail", "bytes"), rows, range(4, 5))
            found.append((title, counts(data)[kind], table))
    return found


def balance(data: dict[str, Any]) -> Table | None:
    """Training examples of each class before and after balancing, and the weight of its loss."""
    found = data.get("balance")
    if not found or found["balance"] == "none":
        return None
    rows = [
        (label, f"{row['before']:,}", f"{row['after']:,}", f"{row['weight']:.3f}")
        for label, row in found["classes"].items()
    ]
    return Table(("class", "before", "after", "loss weight"), rows, range(1, 4))
