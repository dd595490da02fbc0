"""The encoded images of a split as ingest wrote them, by row, read from their TFRecord files."""

from pathlib import Path

import numpy as np

from components.data import tfrecords


class Originals:
    """`self[row]` is the file (JPEG or PNG) that the row of the packed split was made from.

    `directory` is one of ingest's `Split-<split>`: the rows of its files, in their names' order,
    are those of the packed arrays. Only the places of the records are kept in memory. Reading one
    imports TensorFlow, whose format it is.
    """

    def __init__(self, directory: Path):
        self._files = sorted(path for path in directory.iterdir() if path.is_file())
        found = [tfrecords.places(path) for path in self._files]
        self._places = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
        self._starts = np.cumsum([0, *map(len, found)])

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
