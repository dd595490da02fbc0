"""Room for a verdict on a disk that is full: a file in the output root, given up to write it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

FILE = ".reserve"
_SIZES = (2**19, 2**18, 2**17, 2**16)
"""Bytes: the most that there is room for. A verdict has some 50 kB."""


def hold(root: Path) -> None:
    """Keeps the room, where there is any."""
    for size in _SIZES:
        try:
            with (root / FILE).open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError:
            give_up(root)


def give_up(root: Path) -> None:
    """Makes the room free; somebody is about to fill it."""
    with contextlib.suppress(OSError):
        (root / FILE).unlink()


@contextlib.contextmanager
def lent(root: Path) -> Iterator[None]:
    """The room, where it is kept, for what makes more."""
    held = (root / FILE).exists()
    give_up(root)
    try:
        yield
    finally:
        if held:
            hold(root)
