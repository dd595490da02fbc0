"""Features as the features step leaves them, of digits: their pixels, as the ONNX file of
`serving_fixtures.onnx_bytes` has them in its value `flat`."""

from pathlib import Path

import numpy as np

from components.data.arrays import ImageArrays
from components.data.image_index import Row, write
from components.features.feature_arrays import DESCRIPTION
from export.release.neighbours import TrainingFeatures


def pixel_features(directory: Path, arrays: Path) -> TrainingFeatures:
    """Of every split of the ImageArrays at `arrays`, and an index that names the images."""
    directory.mkdir()
    held, rows = ImageArrays(arrays), []
    for name in ("train", "val", "test"):
        split, folder = held.split(name), directory / name
        folder.mkdir()
        images = split.images(np.arange(len(split)))
        np.save(folder / "plain.npy", images.reshape(len(images), -1).astype(np.float32))
        np.save(folder / "labels.npy", split.labels)
        rows += [
            Row(name, held.labels[label], "0" * 16, f"{held.labels[label]}/{name}-{row}.png")
            for row, label in enumerate(split.labels)
        ]
    (directory / DESCRIPTION).write_text('{"views": ["plain"]}')
    write(directory / "images.csv", rows)
    return TrainingFeatures(directory, directory / "images.csv")
