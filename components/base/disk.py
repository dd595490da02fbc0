"""Full disks: which errors say so, in whatever words, and what a person is told. Standard library
only.
"""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.base.refusal import Refusal

EXIT_FULL = errno.ENOSPC
"""Exit status of a step's process that found the disk full and may have had no room to say so."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What TensorFlow, SQLite, Rust and C++ libraries make of those two.
_WORDS = ("no space left on device", "disk is full", "disk quota exceeded", "(os error 28)")


class DiskFull(Refusal):
    """There is no room for what was to be written."""


def is_full(error: BaseException) -> bool:
    """Whether a full disk is among the error's causes."""
    return any(
        isinstance(link, DiskFull)
        or (isinstance(link, OSError) and link.errno in _FULL)
        or any(words in str(link).lower() for words in _WORDS)
        for link in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def disk_full(directory: str | Path, more: str = "") -> DiskFull:
    """The error that says how much room there is where `directory` is, or was to be."""
    place = Path(directory)
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    return DiskFull(
        f"The disk that holds {str(place)!r} is full: {size(usage.free)} of {size(usage.total)} "
        f"are free{more}; make room, or pass root=PATH on another disk."
    )


@contextlib.contextmanager
def explained(directory: Path) -> Iterator[None]:
    """An error for want of room becomes DiskFull, which says where and how much there is."""
    try:
        yield
    except Exception as error:
        if is_full(error) and not isinstance(error, DiskFull):
            raise disk_full(directory) from error
        raise


def nothing_free(directory: str | Path) -> bool:
    """Whether there is so little room that an unexpected error is best explained by it: writing to
    mapped memory ends in SIGBUS, a log in any status, and ML Metadata says that there is nothing to
    commit."""
    return shutil.disk_usage(directory).free < 2**18


def size(count: int) -> str:
    """Bytes as people say them: `3.5 MB`."""
    for unit, power in (("GB", 9), ("MB", 6)):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count // 1000} kB"
