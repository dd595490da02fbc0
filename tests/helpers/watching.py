"""What the kernel says is opened in a directory, by whichever code: inotify(7)."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_ALL = 0x00000FFF
_ENTRY = struct.Struct("iIII")


@contextlib.contextmanager
def watched(directory: Path) -> Iterator[list[str]]:
    """At its end, the names of what was opened, read, written, made or removed meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    seen: list[str] = []
    try:
        assert libc.inotify_add_watch(descriptor, os.fsencode(directory), _ALL) >= 0
        yield seen
        with contextlib.suppress(BlockingIOError):
            data = os.read(descriptor, 2**20)
            while data:
                _, _, _, size = _ENTRY.unpack_from(data)
                end = _ENTRY.size + size
                seen.append(data[_ENTRY.size : end].rstrip(b"\0").decode() or ".")
                data = data[end:] or os.read(descriptor, 2**20)
    finally:
        os.close(descriptor)
