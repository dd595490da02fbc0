"""golden.npz: images with the probabilities they were released with, from a file that nobody
vouches for.

NumPy would allocate whatever an array's header announces, and unpack whatever the archive holds:
here the headers are read first. Formats: PKWARE's APPNOTE.TXT, numpy.lib.format.
"""

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from serving.contract.image_spec import ImageSpec
from serving.inference.errors import NotServable
from serving.store.files import open_plain

MAX_IMAGES = 1024
MAX_BYTES = 512 * 2**20
"""Of the images together."""
_MAX_MEMBERS = 64
_NAME = re.compile(r"[a-z0-9_]+\.npy")


def read_golden(
    path: Path, key: str, spec: ImageSpec, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, H, W, C) and the float (n, classes) that are there as `key`.

    Raises NotServable.
    """
    try:
        with open_plain(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(names) > _MAX_MEMBERS or len(set(names)) < len(names):
                raise ValueError("it has too many members, or one of them twice")
            if wrong := [name for name in names if not _NAME.fullmatch(name)]:
                raise ValueError(f"it has a member {wrong[0][:100]!r}, expected names of arrays")
            with archive.open("image.npy") as member:
                images = _array(member, np.dtype(np.uint8), (None, *spec.shape))
            with archive.open(f"{key}.npy") as member:
                answers = _array(member, np.dtype(np.float32), (len(images), classes))
    except _DAMAGED as error:
        raise _unusable(path, error) from error
    return images, answers


_DAMAGED = (
    *(OSError, EOFError, KeyError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error),
)
"""What NumPy and zipfile raise of bytes that nobody meant to be read."""


def _unusable(path: Path, error: Exception) -> NotServable:
    reason = str(error).strip().splitlines()
    return NotServable(
        f"{path} cannot be read: {reason[-1] if reason else type(error).__name__}. Publish the"
        " model again."
    )


def _array(member: IO[bytes], dtype: np.dtype, expected: tuple[int | None, ...]) -> np.ndarray:
    """The array in a member of that type and shape, of which the first number may be open."""
    try:
        version = npy.read_magic(member)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, found = read(member)
    except Exception as error:  # whatever Python's own parser raises
        raise ValueError("an array has no header that can be read") from error
    named = ["n" if size is None else size for size in expected]
    fits = len(shape) == len(expected) and shape[1:] == expected[1:]
    if not fits or fortran or found != dtype or expected[0] not in (None, shape[0]):
        raise ValueError(f"an array is {found} {list(shape)}, expected {dtype} {named}")
    size = math.prod(shape) * dtype.itemsize
    if not 0 < shape[0] <= MAX_IMAGES or size > MAX_BYTES:
        raise ValueError(
            f"an array has {shape[0]} rows in {size} bytes, expected up to {MAX_IMAGES} in"
            f" {MAX_BYTES}"
        )
    data = member.read(size)
    if len(data) != size or member.read(1):
        raise ValueError(f"an array has other than {size} bytes")
    return np.frombuffer(data, dtype).reshape(shape)
