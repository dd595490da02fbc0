"""ImageArrays on disk: sharded, memory-mapped uint8 images that every later step reads.

<directory>/image_spec.json      ImageSpec, mean and std of the training split
<directory>/labels.json          class names in label order
<directory>/<split>/images-00000.npy   uint8 (n, H, W, C)
<directory>/<split>/labels-00000.npy   int64 (n,)
"""

import json
from pathlib import Path

import numpy as np

from components.image_spec import ImageSpec


class Split:
    """One split: `labels` int64 (N,) in memory, `images` gathered from memory-mapped shards."""

    def __init__(self, directory: Path):
        paths = sorted(directory.glob("images-*.npy"))
        self._shards = [np.load(path, mmap_mode="r") for path in paths]
        labels = [np.load(p.with_name(p.name.replace("images-", "labels-"))) for p in paths]
        self.labels = np.concatenate(labels) if labels else np.zeros(0, np.int64)
        self._starts = np.cumsum([0, *(len(s) for s in self._shards)])

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), H, W, C), copied out of the shards in the order asked for."""
        indices = np.asarray(indices)
        if len(self._shards) == 1:
            return self._shards[0][indices]
        owner = np.searchsorted(self._starts, indices, side="right") - 1
        result = np.empty((len(indices), *self._shards[0].shape[1:]), np.uint8)
        for shard in np.unique(owner):
            rows = owner == shard
            result[rows] = self._shards[shard][indices[rows] - self._starts[shard]]
        return result

    def batches(self, batch_size: int):
        """Yields (images, labels) in order, the last batch as short as it is."""
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

    def split(self, name: str) -> Split:
        return Split(self.directory / name)
