"""Arrays of an .npz file that nobody vouches for.

NumPy would allocate whatever an array's header announces, and unpack whatever the archive holds:
here the headers are read first, and nothing is unpickled. Formats: PKWARE's APPNOTE.TXT,
numpy.lib.format.
"""

import contextlib
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from serving.inference.errors import NotServable
from serving.store.files import open_plain

_MAX_MEMBERS = 64
_NAME = re.compile(r"[a-z0-9_]+\.npy")
_DAMAGED = (
    *(OSError, EOFError, KeyError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error),
)
"""What NumPy and zipfile raise of bytes that nobody meant to be read."""


class Arrays:
    """The arrays of an archive by their names."""

    def __init__(self, archive: zipfile.ZipFile):
        """Raises ValueError for an archive of other things."""
        self._archive = archive
        names = archive.namelist()
        if len(names) > _MAX_MEMBERS or len(set(names)) < len(names):
            raise ValueError("it has too many members, or one of them twice")
        if wrong := [name for name in names if not _NAME.fullmatch(name)]:
            raise ValueError(f"it has a member {wrong[0][:100]!r}, expected names of arrays")

    def read(
        self, name: str, kind: Any, expected: tuple[int | None, ...], most: int, most_bytes: int
    ) -> np.ndarray:
        """The array of that type and shape, of which numbers that are None are open, with up to
        `most` rows and `most_bytes`. Raises KeyError or ValueError."""
        dtype = np.dtype(kind)
        with self._archive.open(f"{name}.npy") as member:
            try:
                version = npy.read_magic(member)
                read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
                shape, fortran, found = read[version](member)
            except Exception as error:  # whatever Python's own parser raises
                raise ValueError("an array has no header that can be read") from error
            named = ["n" if size is None else size for size in expected]
            fits = len(shape) == len(expected)
            fits = fits and all(e in (None, size) for e, size in zip(expected, shape))
            if not fits or fortran or found != dtype:
                raise ValueError(f"an array is {found} {list(shape)}, expected {dtype} {named}")
            size = math.prod(shape) * dtype.itemsize
            if not 0 < shape[0] <= most or not 0 < size <= most_bytes:
                raise ValueError(
                    f"an array has {shape[0]} rows in {size} bytes, expected up to {most} in"
                    f" {most_bytes}"
                )
            data = member.read(size)
            if len(data) != size or member.read(1):
                raise ValueError(f"an array has other than {size} bytes")
            return np.frombuffer(data, dtype).reshape(shape)


@contextlib.contextmanager
def arrays_of(path: Path) -> Iterator[Arrays]:
    """The arrays at `path`. Raises NotServable for a file that is damaged, also for what is raised
    of it within the block."""
    try:
        with open_plain(path) as file, zipfile.ZipFile(file) as archive:
            yield Arrays(archive)
    except _DAMAGED as error:
        reason = str(error).strip().splitlines()
        raise NotServable(
            f"{path} cannot be read: {reason[-1] if reason else type(error).__name__}. Publish the"
            " model again."
        ) from error
