"""What the ingest before made of each file, so that the next one decodes new files only.

A file is known by its content's SHA-256, class and split. Its Example is copied as the record that
it is, from shards that are the same files as the artifact's (hard links, which take no room); of
the ingest before the last nothing is kept. Shards are looked through by their own SHA-256 before
anything is taken from one: a damaged one is not used, and its files are decoded again.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from components.data.tfrecords import HEAD, TAIL, places


class Segment(NamedTuple):
    """Bytes of a TFRecord file: whole records."""

    file: str
    start: int
    stop: int


class Shard(NamedTuple):
    """A TFRecord file: record i lies between bytes `edges[i]` and `edges[i + 1]`."""

    path: Path
    edges: list[int]


NOWHERE = Segment("", 0, 0)
"""The place of a record that is not written yet."""


class Known(NamedTuple):
    """A decoded file: `look` is its perceptual hash, `picture` what look-alikes are compared by,
    `reencoded` a format or empty."""

    split: str
    digest: str
    look: int
    picture: bytes
    reencoded: str
    place: Segment


class Rejected(NamedTuple):
    """A file that was quarantined; `size` in bytes."""

    reason: str
    size: int


def file_key(content: str, label: int, split: str | None) -> str:
    """Of a file with the hexadecimal SHA-256 `content`, the class `label` and a split of its own;
    empty where the content is not known."""
    return f"{content} {label} {split or ''}" if content else ""


_indices: dict[Path, dict[str, list]] = {}
"""What the ingest before knew, for the one that goes on: runners copy what they run, and each copy
would read it again."""


class Recall:
    """Remembers one ingest in `directory`, for one with the same `identity`.

    Cheap to pickle: every worker process reads the index itself.
    """

    def __init__(self, directory: Path, identity: str):
        self.directory, self._identity = directory, identity
        self._new = directory / f".new-{uuid.uuid4().hex}"

    def begin(self) -> None:
        """Makes room for what is to be remembered, and removes what an ingest that was stopped
        has left."""
        for left in self.directory.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        self._new.mkdir(parents=True)

    def finish(self) -> None:
        """From now on this ingest is the one before."""
        (self._new / "identity").write_text(self._identity)
        shutil.rmtree(self.directory / "last", ignore_errors=True)
        self._new.rename(self.directory / "last")
        _indices.clear()

    def find(self, key: str) -> Known | Rejected | None:
        """What became of the file, or None where nobody knows."""
        if self._new not in _indices:
            _indices.clear()
            _indices[self._new] = self._index()
        row = _indices[self._new].get(key) if key else None
        return None if row is None else _known(row)

    def _index(self) -> dict[str, list]:
        known: dict[str, list] = {}
        last = self.directory / "last"
        with contextlib.suppress(OSError):
            if (last / "identity").read_text() == self._identity:
                for file in last.glob("chunk-*.json"):
                    known |= _read(file)
        return known

    def remember(
        self, number: int, rows: list[tuple[str, Known | Rejected]], shards: dict[str, Shard]
    ) -> None:
        """Keeps chunk `number`: the key of each file with what became of it, its shard by split.

        Rows hold the images in the order of the shards. Where shards cannot be linked, nothing is
        kept, and the next ingest decodes the chunk again.
        """
        nexts = {split: itertools.pairwise(shard.edges) for split, shard in shards.items()}
        table = []
        for key, row in rows:
            if isinstance(row, Known):
                picture = base64.b64encode(row.picture).decode()
                known = [row.split, row.digest, row.look, picture, row.reencoded]
                table.append([key, *known, *next(nexts[row.split])])
            else:
                table.append([key, *row])
        digests = {}
        try:
            for split, shard in shards.items():
                link = self._new / f"{number:05d}-{split}"
                link.unlink(missing_ok=True)
                os.link(shard.path, link)
                digests[split] = _digest(shard.path)
        except OSError:
            return
        text = json.dumps({"shards": digests, "rows": table})
        sealed = hashlib.sha256(text.encode()).hexdigest()
        (self._new / f"chunk-{number:05d}.json").write_text(f"{sealed}\n{text}")


def _read(file: Path) -> dict[str, list]:
    """The rows of a chunk by key, what its shards' paths begin with behind each, where it is whole,
    the shards and the index alike; otherwise nothing."""
    beginning = str(file.parent / file.stem.removeprefix("chunk-"))
    try:
        sealed, text = file.read_text().split("\n", 1)
        if hashlib.sha256(text.encode()).hexdigest() != sealed:
            return {}
        found = json.loads(text)
        shards = found["shards"].items()
        if any(_digest(Path(f"{beginning}-{split}")) != digest for split, digest in shards):
            return {}
    except (OSError, ValueError):
        return {}
    for row in found["rows"]:
        row.append(beginning)
    return {row[0]: row for row in found["rows"]}


def _known(row: list) -> Known | Rejected:
    """Of a row that was read."""
    _, first, *rest, beginning = row
    if len(rest) == 1:
        return Rejected(first, *rest)
    digest, look, text, reencoded, start, stop = rest
    place = Segment(f"{beginning}-{first}", start, stop)
    return Known(first, digest, look, base64.b64decode(text), reencoded, place)


def splice(segments: Iterable[Segment], output: Path) -> None:
    """Writes the segments one behind the other."""
    files: dict[str, int] = {}
    with contextlib.ExitStack() as stack, output.open("wb") as out:
        for segment in _joined(segments):
            if segment.file not in files:
                opened = stack.enter_context(open(segment.file, "rb"))
                files[segment.file] = opened.fileno()
            at = segment.start
            while at < segment.stop:
                part = os.pread(files[segment.file], min(2**20, segment.stop - at), at)
                if not part:
                    raise OSError(f"{segment.file} ended before byte {segment.stop}")
                out.write(part)
                at += len(part)


def _joined(segments: Iterable[Segment]) -> list[Segment]:
    """Neighbours in one file become one."""
    found: list[Segment] = []
    for segment in segments:
        if found and (found[-1].file, found[-1].stop) == (segment.file, segment.start):
            found[-1] = found[-1]._replace(stop=segment.stop)
        else:
            found.append(segment)
    return found


def record_segments(path: Path) -> list[Segment]:
    """Of each record of a TFRecord file."""
    return [
        Segment(str(path), start - HEAD, start + length + TAIL)
        for start, length in places(path).tolist()
    ]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
