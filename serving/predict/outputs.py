"""What a folder's predictions are written to: a table, and files that are whole or absent."""

import contextlib
import csv
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from serving.predict.listing import readable
from serving.predict.predictions import Prediction
from serving.store.files import sync_directory, temporary_name

COLUMNS = tuple(field.name for field in dataclasses.fields(Prediction))


class Table:
    """A CSV file with a row for each prediction; one that has no label has empty cells."""

    def __init__(self, file: TextIO):
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, prediction: Prediction) -> None:
        self._rows.writerow([_cell(prediction, name) for name in COLUMNS])


def _cell(prediction: Prediction, name: str) -> str:
    value = getattr(prediction, name)
    if isinstance(value, float):
        return "" if prediction.problem else f"{value:.6f}"
    return readable(value)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes `path`'s place once it is whole; on an error nothing is left of it.
    Raises OSError."""
    temporary = temporary_name(path.parent)
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
