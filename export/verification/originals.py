"""The encoded images of a split as ingest wrote them, by row, read from their TFRecord files."""

import os
from pathlib import Path

import numpy as np


class Originals:
    """`self[row]` is the file (JPEG or PNG) that the row of the packed split was made from.

    `directory` is one of ingest's `Split-<split>`: the rows of its files, in their names' order,
    are those of the packed arrays. Only the places of the records are kept in memory. Reading one
    imports TensorFlow, whose format it is.
    """

    def __init__(self, directory: Path):
        self._files = sorted(path for path in directory.iterdir() if path.is_file())
        places = [_places(path) for path in self._files]
        self._places = np.concatenate(places) if places else np.zeros((0, 2), np.int64)
        self._starts = np.cumsum([0, *map(len, places)])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> bytes:
        import tensorflow as tf

        file = int(np.searchsorted(self._starts, row, side="right")) - 1
        start, length = self._places[row]
        with self._files[file].open("rb") as stream:
            stream.seek(start)
            example = tf.train.Example.FromString(stream.read(length))
        return example.features.feature["image_bytes"].bytes_list.value[0]


def _places(path: Path) -> np.ndarray:
    """(start, length) of each record, int64 (N, 2): each is preceded by its length and the length's
    checksum and followed by its own (https://www.tensorflow.org/tutorials/load_data/tfrecord)."""
    found = []
    with path.open("rb") as file:
        while header := file.read(12):
            length = int.from_bytes(header[:8], "little")
            found.append((file.tell(), length))
            file.seek(length + 4, os.SEEK_CUR)
    return np.array(found, np.int64).reshape(-1, 2)
