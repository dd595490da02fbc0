"""ImageArrays on disk: sharded, memory-mapped uint8 images that every later step reads.

<directory>/image_spec.json      ImageSpec, mean and std of the training split
<directory>/labels.json          class names in label order
<directory>/<split>/images-00000.npy   uint8 (n, H, W, C), `ImageSpec.packed_shape`
<directory>/<split>/labels-00000.npy   int64 (n,)
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from serving.contract.image_spec import ImageSpec, crop_center

_PIXELS = 24 * 96 * 96
"""Of images that are predicted at once."""


class Split:
    """Images of one or several directories of shards, one behind the other.

    `labels`, int64 (N,), are in memory; images are gathered from memory-mapped shards, cropped
    centrally to the network's input unless it is the `packed` ones that are asked for.
    """

    def __init__(self, spec: ImageSpec, *directories: Path):
        self._pixels = spec.height * spec.width
        paths = [path for folder in directories for path in sorted(folder.glob("images-*.npy"))]
        self._packed = [np.load(path, mmap_mode="r") for path in paths]
        self._cropped = [crop_center(shard, spec) for shard in self._packed]
        labels = [np.load(p.with_name(p.name.replace("images-", "labels-"))) for p in paths]
        self.labels = np.concatenate(labels) if labels else np.zeros(0, np.int64)
        self._starts = np.cumsum([0, *(len(s) for s in self._packed)])

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices) and `ImageSpec.shape`), copied in the order asked for."""
        return self._gather(self._cropped, indices)

    def packed(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices) and `ImageSpec.packed_shape`), copied in the order asked for."""
        return self._gather(self._packed, indices)

    def _gather(self, shards: list[np.ndarray], indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        if len(shards) == 1:
            return shards[0][indices]
        owner = np.searchsorted(self._starts, indices, side="right") - 1
        result = np.empty((len(indices), *shards[0].shape[1:]), np.uint8)
        for shard in np.unique(owner):
            rows = owner == shard
            result[rows] = shards[shard][indices[rows] - self._starts[shard]]
        return result

    def at_a_time(self, most: int) -> int:
        """How many images to predict at once: `most`, or fewer of large ones, for each of which a
        network needs megabytes. 45 photographs of 224x224 took Keras 4 GB; four at a time take a
        fifth less time each than eleven, for more of it is in the processor's cache."""
        return max(1, min(most, _PIXELS // self._pixels))

    def batches(self, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (`images`, labels) in order, `at_a_time`, the last batch as short as it is."""
        batch_size = self.at_a_time(most)
        for start in range(0, len(self), batch_size):
            rows = np.arange(start, min(start + batch_size, len(self)))
            yield self.images(rows), self.labels[rows]


class ImageArrays:
    """The packed data set at `directory`. Raises ValueError when there is none."""

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        if not (self.directory / "image_spec.json").is_file():
            raise ValueError(f"{self.directory} holds no image_spec.json: run the pack step first.")
        self.spec = ImageSpec.from_json((self.directory / "image_spec.json").read_text())
        self.labels: list[str] = json.loads((self.directory / "labels.json").read_text())

    def split(self, name: str, *more: Path) -> Split:
        """A split, with the shards in the directories `more` behind its own."""
        return Split(self.spec, self.directory / name, *more)


def evenly(rows: int, count: int) -> np.ndarray:
    """`count` row numbers spread evenly over `rows`, or all of them where there are fewer."""
    return np.linspace(0, rows - 1, min(count, rows)).round().astype(np.int64)


def open_split(arrays: ImageArrays, name: str) -> Split:
    """A split of the arrays. Raises ValueError when it holds no images."""
    split = arrays.split(name)
    if not len(split):
        raise ValueError(f"{arrays.directory / name} holds no images, expected at least one.")
    return split
