"""Features on disk: what a frozen backbone makes of every image, once.

<directory>/features.json        how they were made: nothing else may go on from them
<directory>/speed.json           images that went through the backbone, and seconds: for people
<directory>/<split>/labels.npy   int64 (N,)
<directory>/<split>/keys.npy     uint8 (N, 16), digests of the images' pixels
<directory>/<split>/<view>.npy   float32 (N, features), in the order of the images

`plain` is the image as networks are fed it. Only the training split has other views, by its
policy: `mirrored` where that flips; and, where it does anything else, `drawn_1` and `drawn_2`, each
image changed twice as the policy says.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

DESCRIPTION, SPEED = "features.json", "speed.json"
PLAIN, MIRRORED, DRAWN = "plain", "mirrored", ("drawn_1", "drawn_2")


class FeatureSplit:
    """The features of a split in the place of its images, with the calls of `Split`.

    Rows are those of the first view, then all of them again in the next. `labels`, int64, are in
    memory, features memory-mapped.
    """

    def __init__(self, directory: Path, views: tuple[str, ...]):
        self._views = [np.load(directory / f"{view}.npy", mmap_mode="r") for view in views]
        self.labels = np.tile(np.load(directory / "labels.npy"), len(views))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Numbers of one image."""
        return self._views[0].shape[1]

    @property
    def mapped(self) -> np.ndarray:
        """float32 (N, features), memory-mapped: of the first view."""
        return self._views[0]

    def images(self, indices: np.ndarray) -> np.ndarray:
        """float32 (len(indices), features), copied in the order asked for."""
        indices = np.asarray(indices)
        view, row = np.divmod(indices, len(self._views[0]))
        found = np.empty((len(indices), self.size), np.float32)
        for number in np.unique(view):
            found[view == number] = self._views[number][row[view == number]]
        return found

    packed = images

    def at_a_time(self, most: int) -> int:
        """How many to predict at once."""
        return most

    def batches(self, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (features, labels) in order, the last batch as short as it is."""
        for start in range(0, len(self), most):
            rows = np.arange(start, min(start + most, len(self)))
            yield self.images(rows), self.labels[rows]


class FeatureArrays:
    """The features at `directory`. Raises ValueError when there are none."""

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        try:
            self.description: dict = json.loads((self.directory / DESCRIPTION).read_text())
        except OSError as error:
            raise ValueError(
                f"{self.directory} holds no {DESCRIPTION}: run the features step first."
            ) from error

    @property
    def views(self) -> tuple[str, ...]:
        """Of the training split."""
        return tuple(self.description["views"])

    def split(self, name: str, views: tuple[str, ...] = (PLAIN,)) -> FeatureSplit:
        """A split's features in those views."""
        return FeatureSplit(self.directory / name, views)

    def training(self, index: np.ndarray) -> tuple[FeatureSplit, np.ndarray]:
        """The training split in all its views, and its rows to train on: those of `index`, int64,
        in every view."""
        split = self.split("train", self.views)
        images = len(split) // len(self.views)
        return split, np.concatenate([index + images * n for n in range(len(self.views))])
