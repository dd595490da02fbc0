"""The Examples files that ingest writes: one for each chunk and split, whole or absent."""

import itertools
import os
import shutil
import uuid
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from components.data.duplicates import DIGEST
from components.data.recall import Segment, Shard, record_segments, splice
from components.data.tfrecords import FRAME
from components.sources.source import SPLITS


def file_name(number: int, count: int) -> str:
    """Of the shard that chunk `number` of `count` leaves in each split."""
    return f"data_tfrecord-{number:05d}-of-{count:05d}"


class SplitWriters:
    """One unfinished file per split, all renamed to `name` when the chunk is through.

    `written` are the finished ones by split. Where their records lie is known without reading them:
    each is copied from a known place, or as long as what was written and its frame.
    """

    def __init__(self, directory: Path, name: str):
        self._directory, self._name = directory, name
        self._unfinished = directory / f".{name}-{uuid.uuid4().hex}"
        self._writers: dict[str, tf.io.TFRecordWriter] = {}
        self._order: dict[str, list[Segment]] = {}
        self._own: dict[str, int] = {}  # bytes that each writer has written
        self.written: dict[str, Shard] = {}

    def __enter__(self) -> "SplitWriters":
        self._unfinished.mkdir(parents=True)
        return self

    def write(self, split: str, record: bytes) -> None:
        own = str(self._unfinished / split)
        if split not in self._writers:
            self._writers[split] = tf.io.TFRecordWriter(own)
        self._writers[split].write(record)
        start = self._own.get(split, 0)
        self._own[split] = start + len(record) + FRAME
        self.copy(split, Segment(own, start, self._own[split]))

    def copy(self, split: str, record: Segment) -> None:
        """Goes on with a record of another file."""
        self._order.setdefault(split, []).append(record)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()
        if kind is not None:
            return
        for split, order in self._order.items():
            whole = self._unfinished / split
            if any(segment.file != str(whole) for segment in order):
                whole = self._unfinished / f"{split}-spliced"
                splice(order, whole)
            folder = self._directory / f"Split-{split}"
            folder.mkdir(exist_ok=True)
            path = folder / self._name
            os.replace(whole, path)
            sizes = (segment.stop - segment.start for segment in order)
            self.written[split] = Shard(path, [0, *itertools.accumulate(sizes)])
        shutil.rmtree(self._unfinished)


def rearrange(directory: Path, name: str, order: Sequence[tuple[str, str]]) -> None:
    """Has a chunk's files `name` under `Split-<split>/` hold just the images of `order`: the digest
    and the split of each, in the order in which the chunk was read.

    Doing it twice, or again after it was stopped midway, changes nothing more: runners may repeat
    what they are not sure of. Hence no image leaves one file before it is in the other.
    """
    files = {split: directory / f"Split-{split}" / name for split in SPLITS}
    found = {split: _records(path) for split, path in files.items()}
    wanted: dict[str, list[Record]] = {split: [] for split in SPLITS}
    waiting: dict[tuple[str, str], deque[Record]] = defaultdict(deque)
    for split, records in found.items():
        for record in records:
            waiting[record.digest, split].append(record)
    for digest, split in order:
        places = (split, *(other for other in SPLITS if other != split))
        held = next(of for place in places if (of := waiting[digest, place]))
        wanted[split].append(held.popleft())
    for split, file in files.items():
        present = set(found[split])
        if new := [record for record in wanted[split] if record not in present]:
            file.parent.mkdir(exist_ok=True)  # what is in the file keeps its place
            os.replace(_spliced(directory, [*found[split], *new]), file)
    final = {
        split: _spliced(directory, records)
        for split, records in wanted.items()
        if records and records != found[split]
    }
    for split, spliced in final.items():
        os.replace(spliced, files[split])
    for split, records in wanted.items():
        if not records:
            files[split].unlink(missing_ok=True)


def _spliced(directory: Path, records: Iterable["Record"]) -> Path:
    """A new file of these records, to be renamed."""
    path = directory / f".{uuid.uuid4().hex}"
    splice((record.place for record in records), path)
    return path


class Record(NamedTuple):
    """An Example in a file: the digest of its picture, and where it lies."""

    digest: str
    place: Segment


def _records(path: Path) -> list[Record]:
    """Of an Examples file in its order, none where there is no file."""
    if not path.exists():
        return []
    digests = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        digests.append(features["sha256"].bytes_list.value[0].decode()[:DIGEST])
    return list(map(Record, digests, record_segments(path)))
