"""A source's chunks in files, so that Beam is handed their numbers alone.

Of what it is given to create, Beam infers the type value by value, and copies it compressed into
the pipeline: for the names of all files that took longer than the rest of an ingest that has little
to decode.
"""

import json
import shutil
from pathlib import Path
from typing import Any


class ChunkFiles:
    """The chunks in `directory`, which workers see, too; `count` of them."""

    def __init__(self, directory: Path, count: int):
        self._directory, self.count = directory, count

    @classmethod
    def written(cls, chunks: list[dict], directory: Path) -> "ChunkFiles":
        """`directory` is made for them."""
        directory.mkdir()
        files = cls(directory, len(chunks))
        for number, chunk in enumerate(chunks):
            files._path(number).write_text(json.dumps(chunk))
        return files

    def read(self, number: int) -> dict[str, Any]:
        """Chunk `number`; what were tuples are lists."""
        return json.loads(self._path(number).read_text())

    def remove(self) -> None:
        """Removes all, once no worker needs them; doing it twice does no harm."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number}.json"
