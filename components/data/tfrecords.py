"""Where the records of a TFRecord file lie, without reading what is in them."""

import os
from pathlib import Path

import numpy as np

HEAD, TAIL = 12, 4
"""Bytes before each record, its length with a checksum, and behind it, its own."""
FRAME = HEAD + TAIL


def places(path: str | Path) -> np.ndarray:
    """(start, length) of each record in bytes, int64 (N, 2): each is preceded by its length and the
    length's checksum, and followed by its own
    (https://www.tensorflow.org/tutorials/load_data/tfrecord)."""
    found = []
    with open(path, "rb") as file:
        while header := file.read(12):  # the length as uint64, and its checksum
            length = int.from_bytes(header[:8], "little")
            found.append((file.tell(), length))
            file.seek(length + 4, os.SEEK_CUR)
    return np.array(found, np.int64).reshape(-1, 2)
