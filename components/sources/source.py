"""What a source is: it lists its files once and reads them in chunks.

Every source gives encoded bytes, an integer label and, where it has them, its own splits. Nothing
is decoded or judged here.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

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

    def still(self, fingerprint: str) -> bool:
        """Whether this source took that fingerprint itself, and sizes and times of its files are
        what they were when they were listed. Reads nothing."""

    def chunks(self) -> list[dict]:
        """Units of work, in order."""

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        """The images of a chunk, in order; of a larger file than `max_bytes` only its size."""


def stamp(paths: Iterable[str | Path]) -> str:
    """Changes when one of these files or folders is written to, replaced, or gone: a digest of
    sizes, times and inodes. Links are not followed."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError:
            return ""
        digest.update(b"%d %d %d\n" % (found.st_size, found.st_ctime_ns, found.st_ino))
    return digest.hexdigest()
