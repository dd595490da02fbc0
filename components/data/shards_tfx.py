"""The Examples files that ingest writes: one for each chunk and split, whole or absent."""

import os
import shutil
import uuid
from pathlib import Path

import tensorflow as tf

from components.data.duplicates import DIGEST
from components.data.recall import Segment, record_segments, splice


def file_name(number: int, count: int) -> str:
    """Of the shard that chunk `number` of `count` leaves in each split."""
    return f"data_tfrecord-{number:05d}-of-{count:05d}"


class SplitWriters:
    """One unfinished file per split, all renamed to `name` when the chunk is through.

    `written` are the finished ones by split.
    """

    def __init__(self, directory: Path, name: str):
        self._directory, self._name = directory, name
        self._unfinished = directory / f".{name}-{uuid.uuid4().hex}"
        self._writers: dict[str, tf.io.TFRecordWriter] = {}
        self._order: dict[str, list[Segment | None]] = {}  # None is the next one of the writer
        self.written: dict[str, Path] = {}

    def __enter__(self) -> "SplitWriters":
        self._unfinished.mkdir(parents=True)
        return self

    def write(self, split: str, record: bytes) -> None:
        if split not in self._writers:
            self._writers[split] = tf.io.TFRecordWriter(str(self._unfinished / split))
        self._writers[split].write(record)
        self._order.setdefault(split, []).append(None)

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
            if any(order):
                own = iter(record_segments(whole) if split in self._writers else ())
                whole = self._unfinished / f"{split}-spliced"
                splice((segment or next(own) for segment in order), whole)
            folder = self._directory / f"Split-{split}"
            folder.mkdir(exist_ok=True)
            self.written[split] = folder / self._name
            os.replace(whole, self.written[split])
        shutil.rmtree(self._unfinished)


def drop_pictures(path: str, digests: frozenset[str]) -> None:
    """Rewrites an Examples file without the pictures of these digests, in one rename.

    Doing it twice changes nothing more: runners may repeat what they are not sure of.
    """
    if not os.path.exists(path):
        return
    kept = []
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        if features["sha256"].bytes_list.value[0].decode()[:DIGEST] not in digests:
            kept.append(record)
    if not kept:
        os.remove(path)
        return
    unfinished = os.path.join(os.path.dirname(os.path.dirname(path)), f".{uuid.uuid4().hex}")
    with tf.io.TFRecordWriter(unfinished) as writer:
        for record in kept:
            writer.write(record)
    os.replace(unfinished, path)
