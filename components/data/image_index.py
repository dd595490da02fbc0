"""The index of a set's images: of each its split, class, digest of the pixels and name, as CSV.

Ingest writes it (`images.csv`), in the order in which the packed arrays have the images of each
split; a release carries it without names (`images.csv.gz`), so that later runs recognise images.
"""

import csv
import dataclasses
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from components.sources.source import SPLITS

INDEX = "images.csv"
RELEASED = "images.csv.gz"
DIGEST = 16
"""Characters of the SHA-256 by which images are recognised: 64 bits, by which one of a million
images is mistaken for one of a million others once in eighteen million times."""

_DAMAGED = (csv.Error, zlib.error, gzip.BadGzipFile)
_COLUMNS = ("split", "class", "sha256", "name")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One image: `sha256` begins the hexadecimal digest of its pixels; `name` is empty in a
    release's index."""

    split: str
    label: str
    sha256: str
    name: str = ""


def write(path: Path, rows: Iterable[Row]) -> None:
    """Writes `images.csv`. Names keep the bytes that are no UTF-8, and an apostrophe stands before
    what a spreadsheet would take for a formula; `read` takes it away."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        _write(file, _COLUMNS, ((r.split, inert(r.label), r.sha256, inert(r.name)) for r in rows))


def write_released(path: Path, index: dict[str, list[Row]]) -> None:
    """Writes `images.csv.gz`: sorted, without names, with `DIGEST` characters of each digest. The
    same images give the same bytes."""
    rows = sorted(
        (SPLITS.index(split), inert(row.label), row.sha256[:DIGEST])
        for split, rows in index.items()
        for row in rows
    )
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        with io.TextIOWrapper(packed, "utf-8", "surrogateescape", newline="") as file:
            _write(file, _COLUMNS[:3], ((SPLITS[split], *rest) for split, *rest in rows))


def read(path: Path) -> dict[str, list[Row]]:
    """The images of each split, in the order of the file, which may be compressed (`.gz`).

    Raises ValueError for one that is no such index, or is damaged.
    """
    index: dict[str, list[Row]] = {split: [] for split in SPLITS}
    try:
        for row in _read(path):
            index[row.split].append(row)
    except (EOFError, KeyError, TypeError, ValueError, *_DAMAGED) as error:
        raise ValueError(f"{path} is no index of images, or a damaged one: {error}") from error
    return index


def _write(file: TextIO, columns: tuple[str, ...], rows: Iterable[tuple]) -> None:
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(rows)


def _read(path: Path) -> Iterator[Row]:
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.reader(file)
        columns = tuple(next(rows, ()))
        if columns not in (_COLUMNS, _COLUMNS[:3]):
            raise ValueError(f"it begins with {columns}, expected {_COLUMNS}.")
        for split, label, digest, *name in rows:
            yield Row(split, sys.intern(_exact(label)), digest, *map(_exact, name))


def inert(cell: str) -> str:
    """A cell's text, with an apostrophe before what a spreadsheet would calculate, and before an
    apostrophe."""
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r'") else cell


def _exact(cell: str) -> str:
    return cell.removeprefix("'")
