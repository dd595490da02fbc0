"""The log of a run, into which it and all of its processes write, kept from growing without end."""

import contextlib
import os
import shutil
import threading
from pathlib import Path

LIMIT = 16 * 2**20
"""Bytes; past them the log begins anew, and `log.1.txt` keeps what there was."""
_LOOKS = 5.0  # seconds between two looks at its size


class RotatedLog:
    """Context manager that gives the log's file descriptor, open for appending.

    What is written while it begins anew is lost: its writers, other processes among them, cannot be
    told to wait.
    """

    def __init__(self, path: Path, limit: int = LIMIT):
        self._path, self._limit = path, limit
        self._closed = threading.Event()

    def __enter__(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self._path, flags, 0o644)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        os.close(self._descriptor)

    def rotate(self) -> None:
        """Begins anew where the limit is passed."""
        if os.fstat(self._descriptor).st_size <= self._limit:
            return
        with contextlib.suppress(OSError):  # a full disk keeps no old log
            shutil.copyfile(self._path, self._path.with_suffix(f".1{self._path.suffix}"))
        os.ftruncate(self._descriptor, 0)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOKS):
            self.rotate()
