"""Ingest: every image gets a split and is accounted for before anything learns from it."""

import collections
import dataclasses

from components.examine import Example, Quarantined
from components.sources import SPLITS, DataRefused
from pipeline.config import DataConfig


def assign_split(own: str | None, digest: str, config: DataConfig, splits: frozenset[str]) -> str:
    """The source's own split, or one by hash of the pixels: stable when files move or are added.

    `splits` are those the source has: what is missing among val and test is carved from train.
    """
    if own in ("val", "test"):
        return own
    position = int(digest[:13], 16) / 16**13
    for name, fraction in (("test", config.test_fraction), ("val", config.val_fraction)):
        if name not in splits:
            if position < fraction:
                return name
            position -= fraction
    return "train"


class Accounting:
    """Counts of one run's images: read = good + quarantined, per split and class."""

    def __init__(self):
        self.good = collections.Counter()
        self.reencoded = collections.Counter()
        self.quarantined: list[Quarantined] = []

    def add(self, result: Example | Quarantined, split: str = "", label: int = -1) -> None:
        if isinstance(result, Quarantined):
            self.quarantined.append(result)
        else:
            self.good[split, label] += 1
            self.reencoded[result.format] += result.reencoded

    def merge(self, other: "Accounting") -> "Accounting":
        self.good.update(other.good)
        self.reencoded.update(other.reencoded)
        self.quarantined.extend(other.quarantined)
        return self

    def summary(self, labels: tuple[str, ...]) -> dict:
        """The `data` part of the verdict: totals, good images per split and class, reasons."""
        good = sum(self.good.values())
        return {
            "read": good + len(self.quarantined),
            "good": good,
            "quarantined": len(self.quarantined),
            "reencoded": {name: n for name, n in sorted(self.reencoded.items()) if n},
            "splits": {
                split: {name: self.good[split, i] for i, name in enumerate(labels)}
                for split in ("train", "val", "test")
            },
            "quarantine": [
                dataclasses.asdict(q) | {"label": labels[q.label] if q.label >= 0 else None}
                for q in sorted(self.quarantined, key=lambda q: q.name)
            ],
        }


def require_trainable(accounting: dict) -> None:
    """Raises DataRefused when nothing after ingest could even run: an empty split, one class."""
    read, good = accounting["read"], accounting["good"]
    if not good:
        reasons = sorted({q["reason"] for q in accounting["quarantine"]})
        sentence = (
            f"None of the {read} files is an image that can be decoded ({', '.join(reasons)}): "
            "expected JPEG, PNG, GIF, BMP or WEBP."
        )
        raise DataRefused(sentence, data=accounting)
    present = {name for split in accounting["splits"].values() for name, n in split.items() if n}
    if len(present) < 2:
        sentence = f"Only class {present.pop()!r} has images: a classifier needs at least two."
        raise DataRefused(sentence, data=accounting)
    for split in SPLITS:
        if not sum(accounting["splits"][split].values()):
            sentence = (
                f"Split {split!r} is empty: {good} images are too few for train, val and test; "
                "add images or change data.val_fraction and data.test_fraction."
            )
            raise DataRefused(sentence, data=accounting)
