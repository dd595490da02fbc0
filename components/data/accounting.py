"""The account of a set: what became of every file, by split and class, and why.

    read = good + quarantined + duplicates    for every split and class

Duplicates are images whose pixels sit in a later split too: they leave train (or val).
"""

import csv
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from components.data.duplicates import Catalogue, conflicts, copies, leaks
from components.data.examine import Quarantined
from components.data.image_index import Row
from components.data.look_alikes import look_alikes
from components.data.stratify import stratified
from components.sources.source import SPLITS

UNASSIGNED = "unassigned"
LISTED = 100
"""Findings of each kind that `accounting.json` repeats; `findings.csv` has them all."""


@dataclasses.dataclass(frozen=True)
class ChunkReport:
    """What ingest learned from one chunk; `reencoded` holds (row of the catalogue, format)."""

    number: int
    catalogue: Catalogue
    quarantined: list[Quarantined]
    reencoded: list[tuple[int, str]]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A line of `findings.csv`: a file that is not plainly a good image."""

    finding: str
    name: str
    split: str
    label: str
    detail: str
    size: int | str = ""


class Account:
    """The whole set's account, from its chunks' reports in any order.

    `shares` are those of the splits that are carved from train (`ingest.carved`): `catalogue` has
    them stratified, with `least` images of each class. `drop` is bool (N,) over it: the images that
    must leave their split.
    """

    def __init__(
        self,
        reports: list[ChunkReport],
        labels: tuple[str, ...],
        ignored: tuple[str, ...],
        shares: dict[str, float],
        least: int = 1,
    ):
        reports = sorted(reports, key=lambda report: report.number)
        starts = np.cumsum([0, *(len(report.catalogue) for report in reports)])
        self.labels, self.ignored = labels, ignored
        hashed = Catalogue.concatenate([report.catalogue for report in reports])
        self._chunks = np.repeat([r.number for r in reports], [len(r.catalogue) for r in reports])
        self.drop = leaks(hashed)
        self.catalogue = stratified(hashed, self.drop, shares, least)
        self._changed = self.drop | (self.catalogue.splits != hashed.splits)
        self._quarantined = [q for report in reports for q in report.quarantined]
        self._reencoded = [
            (int(start) + row, format)
            for start, report in zip(starts, reports)
            for row, format in report.reencoded
        ]
        self._kept = np.flatnonzero(~self.drop)
        self._conflicts = conflicts(self.catalogue)
        kept = self.catalogue.rows(self._kept)
        self._copies, self._alike = copies(kept), look_alikes(kept)

    def rearranged(self) -> Iterator[tuple[int, list[tuple[str, str]]]]:
        """Chunks (number) that images must leave, or change their split in: the digest and split of
        those that stay, in the order in which they were read."""
        catalogue = self.catalogue
        for number in np.unique(self._chunks[self._changed]).tolist():
            rows = np.flatnonzero((self._chunks == number) & ~self.drop)
            yield (
                number,
                [(catalogue.digests[row].decode(), SPLITS[catalogue.splits[row]]) for row in rows],
            )

    def index(self) -> Iterator[Row]:
        """The images that stay, split by split, in the order of the packed arrays: pack takes a
        split's files in the order of their chunks, which have the images as they were read."""
        catalogue = self.catalogue
        for number, split in enumerate(SPLITS):
            for row in np.flatnonzero(~self.drop & (catalogue.splits == number)):
                label, digest = self.labels[catalogue.labels[row]], catalogue.digests[row].decode()
                yield Row(split, label, digest, catalogue.names[row])

    def to_json(self) -> dict:
        """The `data` part of the verdict."""
        table = self._table()
        totals = {
            key: sum(row[key] for row in table)
            for key in ("read", "good", "quarantined", "duplicates")
        }
        formats = sorted({format for _, format in self._reencoded})
        findings = self.findings()
        return totals | {
            "without_class": sum(
                q.reason in ("no_label", "label_outside_map") for q in self._quarantined
            ),
            "ignored": len(self.ignored),
            "copies": len(self._copies),
            "near_duplicates": len(self._alike),
            "conflicting_labels": len(self._conflicts),
            "reencoded": {f: sum(g == f for _, g in self._reencoded) for f in formats},
            "splits": {
                split: {
                    row["label"]: row["good"]
                    for row in table
                    if row["split"] == split and row["label"] is not None
                }
                for split in SPLITS
            },
            "accounting": [row for row in table if row["read"]],
            "findings": {
                kind: [dataclasses.asdict(f) for f in findings if f.finding == kind][:LISTED]
                for kind in dict.fromkeys(f.finding for f in findings)
            },
        }

    def _table(self) -> list[dict]:
        """One row for each split and class, `unassigned` and no class (None) among them."""
        classes = len(self.labels)
        cells = self.catalogue.splits.astype(np.int64) * classes + self.catalogue.labels
        size = len(SPLITS) * classes
        good = np.bincount(cells[~self.drop], minlength=size).tolist()
        dropped = np.bincount(cells[self.drop], minlength=size).tolist()
        bad: dict[tuple[str, int], int] = {}
        for q in self._quarantined:
            bad[q.split, q.label] = bad.get((q.split, q.label), 0) + 1
        table = []
        for number, split in enumerate((*SPLITS, UNASSIGNED)):
            for label in (*range(classes), -1):
                placed = split != UNASSIGNED and label >= 0
                cell = number * classes + label
                counts = {
                    "good": good[cell] if placed else 0,
                    "quarantined": bad.get((split, label), 0),
                    "duplicates": dropped[cell] if placed else 0,
                }
                name = self._label(label)
                row = {"split": split, "label": name, "read": sum(counts.values())}
                table.append(row | counts)
        return table

    def _label(self, label: int) -> str | None:
        return self.labels[label] if label >= 0 else None

    def findings(self) -> list[Finding]:
        """Everything to say about single files, kind by kind."""
        catalogue = self.catalogue

        def of(kind: str, row: int, detail: str) -> Finding:
            split, label = SPLITS[catalogue.splits[row]], self.labels[catalogue.labels[row]]
            return Finding(kind, catalogue.names[row], split, label, detail)

        quarantined = [
            Finding("quarantined", q.name, q.split, self._label(q.label) or "", q.reason, q.size)
            for q in sorted(self._quarantined, key=lambda q: q.name)
        ]
        kept = {}
        for row in np.flatnonzero(np.isin(catalogue.digests, catalogue.digests[self.drop])):
            if not self.drop[row]:
                kept[catalogue.digests[row]] = row
        duplicates = []
        for row in np.flatnonzero(self.drop):
            twin = kept[catalogue.digests[row]]
            detail = f"same pixels as {catalogue.names[twin]} in {SPLITS[catalogue.splits[twin]]}"
            duplicates.append(of("duplicate", int(row), detail))
        copied: list[Finding] = []
        similar: list[Finding] = []
        for pairs, kind, words, found in (
            (self._copies, "copy", "same pixels as", copied),
            (self._alike, "near_duplicate", "looks like", similar),
        ):
            for late, early in pairs:
                other = self._kept[early]
                split = SPLITS[catalogue.splits[other]]
                detail = f"{words} {catalogue.names[other]} in {split}"
                found.append(of(kind, int(self._kept[late]), detail))
        conflicting = [
            of("conflicting_label", row, f"picture {catalogue.digests[row].decode()[:8]}")
            for row in self._conflicts
        ]
        reencoded = [of("reencoded", row, f"{format} as PNG") for row, format in self._reencoded]
        ignored = [
            Finding("ignored", name, "", "", "hidden, or not an image") for name in self.ignored
        ]
        alike = conflicting + similar + copied
        return quarantined + duplicates + alike + reencoded + ignored


def with_findings(accounting: dict, findings: list[Finding]) -> dict:
    """`accounting` with further findings: how many of each kind under its name, the first of them
    among `findings`."""
    listed, counts = dict(accounting["findings"]), {}
    for kind in dict.fromkeys(finding.finding for finding in findings):
        found = [dataclasses.asdict(f) for f in findings if f.finding == kind]
        listed[kind], counts[kind] = found[:LISTED], len(found)
    return accounting | counts | {"findings": listed}


def write_findings(path: Path, findings: list[Finding]) -> None:
    """Writes `findings.csv`. What is not UTF-8 is written with escapes, and an apostrophe stands
    before names that a spreadsheet would take for a formula."""
    path.unlink(missing_ok=True)
    _append(path, [tuple(field.name for field in dataclasses.fields(Finding))])
    append_findings(path, findings)


def append_findings(path: Path, findings: list[Finding]) -> None:
    """Writes further findings behind those of a `findings.csv`."""
    _append(path, map(dataclasses.astuple, findings))


def _append(path: Path, rows: Iterable[tuple]) -> None:
    with path.open("a", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows(map(_inert, row) for row in rows)


def _inert(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell
