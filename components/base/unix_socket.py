"""Unix sockets in folders of any depth."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def short_address(path: str | Path) -> Iterator[str]:
    """A name of `path`, for this process, that fits into a socket's address (108 bytes).

    Raises OSError where its folder is not there.
    """
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
