"""A whole folder: listed, classified, written down, and, where asked, sorted and judged.

One pass, in which only counts, the worst mistakes and the names of one folder are kept; with
`--sort` the place of every copy too.
"""

import collections
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from serving.predict.classifier import Classifier
from serving.predict.judgement import Judgement
from serving.predict.listing import files
from serving.predict.outputs import Table
from serving.predict.predictions import Prediction, predictions
from serving.predict.sorting import Sorted, folder_names, unsure_folder

_NAMED = 10
"""Files without a label that the summary names; the table has all."""


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done: `folder` is read, `table` written, `written` passed over; labels below
    `min_probability` are unsure. `into` (within its block) and `judgement` are None where that was
    not asked for."""

    folder: Path
    table: TextIO
    written: tuple[Path, ...] = ()
    min_probability: float = 0.0
    into: Sorted | None = None
    judgement: Judgement | None = None


@dataclasses.dataclass
class Summary:
    """What came of it, in numbers. `labels` counts the sure ones, `unnamed` the files without a
    label by reason, of which `examples` are the first; `copied` counts by folder."""

    labels: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unsure: int = 0
    unnamed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    examples: list[Prediction] = dataclasses.field(default_factory=list)
    copied: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def images(self) -> int:
        return self.labels.total() + self.unsure

    def add(self, prediction: Prediction, sure: bool) -> None:
        if prediction.problem:
            self.unnamed[_reason(prediction.problem)] += 1
            self.examples += [prediction][: _NAMED - len(self.examples)]
        elif sure:
            self.labels[prediction.label] += 1
        else:
            self.unsure += 1


def _reason(problem: str) -> str:
    """The problem without what differs from file to file: its size, what a decoder said of it."""
    first, *rest = problem.removesuffix(".").split(": ")
    return rest[0] if rest and first.startswith("cannot decode") else first


def classify(work: Work, classifier: Classifier) -> Summary:
    """Goes through the folder. Raises OSError where a table or a copy cannot be written, and
    ServingError when the model fails."""
    summary, table = Summary(), Table(work.table)
    folders, unsure = folder_names(classifier.labels), unsure_folder(classifier.labels)
    found = files(work.folder, work.written)
    with _Progress() as progress:
        for prediction in predictions(work.folder, found, classifier):
            sure = prediction.probability >= work.min_probability
            changes: dict[str, Any] = {}
            if work.judgement is not None:
                changes["given"] = work.judgement.given(prediction.path)
            if work.into is not None and not prediction.problem:
                folder = folders[prediction.label] if sure else unsure
                changes["copied_to"] = work.into.copy(prediction.path, folder)
                summary.copied[folder] += 1
            prediction = dataclasses.replace(prediction, **changes)
            table.add(prediction)
            summary.add(prediction, sure)
            if work.judgement is not None:
                work.judgement.add(prediction)
            progress.one_more()
    return summary


class _Progress:
    """How far it is, once a second, on a terminal."""

    def __init__(self) -> None:
        self._count, self._shown = 0, time.monotonic()
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> "_Progress":
        return self

    def one_more(self) -> None:
        self._count += 1
        if self._wanted and time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            print(f"\r{self._count:,} files", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
