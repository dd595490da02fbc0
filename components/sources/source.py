"""What a source is: it lists its files once and reads them in chunks.

Every source gives encoded bytes, an integer label and, where it has them, its own splits. Nothing
is decoded or judged here.
"""

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

CHUNK = 2500
"""Images per unit of work: bounds the memory of a worker and names its output shard."""

SPLITS = ("train", "val", "test")

SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}


@dataclasses.dataclass(frozen=True)
class RawImage:
    """One image as found: `split` is the source's own, or None where it has none.

    `label` is -1 where the source does not say, `size` in bytes; `problem` is the reason why there
    is no `data`.
    """

    name: str
    data: bytes | None
    label: int
    split: str | None
    problem: str | None = None
    size: int = 0


class Stamp(NamedTuple):
    """Sizes, times and inodes of a source's files as one digest, "" where they cannot be told.

    `settled`: the newest change was so long before that any later one must show in its time.
    """

    digest: str = ""
    settled: bool = False


class Source(Protocol):
    """Where images come from. It can be pickled, and so can its chunks: workers read them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names; an image's label is a place in them."""

    @property
    def splits(self) -> frozenset[str]:
        """Those of SPLITS that the source has itself, maybe none."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of files that are no images."""

    def fingerprint(self) -> str:
        """SHA-256 over everything that ingest could see of it. Reads all of it."""

    @property
    def listed(self) -> Stamp:
        """The stamp of its files when they were listed."""

    def take(self, fingerprint: str) -> None:
        """Has it go on as if it had taken that fingerprint itself: it is known to be that of the
        files as they were listed."""

    def still(self, fingerprint: str) -> bool:
        """Whether this source took that fingerprint, and sizes and times of its files are
        what they were when they were listed. Reads nothing."""

    def chunks(self) -> list[dict]:
        """Units of work, in order."""

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        """The images of a chunk, in order; of a larger file than `max_bytes` only its size."""


_TICK_NS = 2 * 10**9
"""The coarsest clock of a file system in use (FAT's, two seconds): two changes within one tick
leave one time."""


def stamp(paths: Iterable[str | Path]) -> Stamp:
    """Changes when one of these files or folders is written to, replaced, renamed, or gone: a
    digest of names, sizes, times and inodes. Links are not followed."""
    digest, newest, begun = hashlib.sha256(), 0, time.time_ns()
    for path in paths:
        try:
            found = os.lstat(path)
        except OSError:
            return Stamp()
        changed = found.st_ctime_ns
        if changed > newest:
            newest = changed
        # A NUL ends each name, for none has one in it.
        line = f"{path}\0{found.st_size} {changed} {found.st_ino}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return Stamp(digest.hexdigest(), settled=newest < begun - _TICK_NS)


def stamp_of(path: str) -> str:
    """A file's size, time and inode as text, or nothing where it is gone or changed so lately that
    a second change need not show."""
    now = time.time_ns()
    try:
        found = os.lstat(path)
    except OSError:
        return ""
    settled = found.st_ctime_ns < now - _TICK_NS
    return f"{found.st_size} {found.st_ctime_ns} {found.st_ino}" if settled else ""
