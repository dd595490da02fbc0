"""Images that no training step learned from, with the source model's own answers. Framework-free.

A predictions directory holds `test.npz` and `val.npz` as
`components/evaluation/predictions.py` describes them.
The split val only chose the epoch to keep, and the temperature: good enough to compare an artifact
with its source.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from components.data.arrays import ImageArrays, Split, evenly
from components.evaluation.predictions import predicted
from export.verification.originals import Originals
from serving.contract.image_spec import ImageSpec

# In the order in which they are drawn on.
SPLITS = ("test", "val")

GOLDEN_IMAGES = 16
GOLDEN_ANSWERS = "golden"
"""The folder, beside a framework's artifacts, with each one's answers on the golden images."""


class HeldOut:
    """All images of the split test and, where those are fewer than `least`, as many of val as are
    missing, evenly spread.

    `probabilities` float32 (N, classes) are the source model's, `labels` int64 (N,), `golden` the
    rows that a release keeps. `examples` is ingest's artifact, out of which the files that the
    images were packed from are read.

    Raises ValueError when the predictions are not those of these splits, or when there are none.
    """

    def __init__(
        self, arrays: ImageArrays, predictions: Path, least: int, examples: Path | None = None
    ):
        self._spec = arrays.spec
        self.golden = golden_rows(len(arrays.split("test")))
        self._parts: list[tuple[Split, np.ndarray, Originals | None]] = []
        probabilities: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for name in SPLITS:
            missing = least - sum(map(len, labels))
            if (missing <= 0 and labels) or not len(arrays.split(name)):
                continue
            split, answers = predicted(arrays, name, predictions / f"{name}.npz")
            rows = np.arange(len(split)) if name == "test" else evenly(len(split), missing)
            files = Originals(examples / f"Split-{name}") if examples is not None else None
            self._parts.append((split, rows, files))
            probabilities.append(answers[rows])
            labels.append(split.labels[rows])
        if not labels:
            raise ValueError(f"the splits {' and '.join(SPLITS)} are empty: nothing to compare.")
        self.probabilities, self.labels = np.concatenate(probabilities), np.concatenate(labels)
        self._starts = np.cumsum([0, *(len(rows) for _, rows, _ in self._parts)])

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (len(rows), H, W, C)."""
        found = np.empty((len(rows), *self._spec.shape), np.uint8)
        for number, (split, own, _) in enumerate(self._parts):
            here = np.flatnonzero(self._part_of(rows) == number)
            found[here] = split.images(own[rows[here] - self._starts[number]])
        return found

    def encoded(self, rows: np.ndarray) -> list[bytes]:
        """The files that the images were packed from; without `examples`, PNG files of them."""
        found = []
        for row, number in zip(rows, self._part_of(rows)):
            _, own, files = self._parts[number]
            if files is None:
                found.append(encode_png(self.images(np.array([row]))[0], self._spec))
            else:
                found.append(files[int(own[row - self._starts[number]])])
        return found

    def _part_of(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._starts, rows, side="right") - 1


def golden_rows(test: int) -> np.ndarray:
    """Rows of the split test, of so many images, that are kept in a release with the answers."""
    return evenly(test, GOLDEN_IMAGES)


def encode_png(image: np.ndarray, spec: ImageSpec) -> bytes:
    """A file of the packed size, with a black margin, in whose centre `spec` finds the image."""
    top, left = spec.margin_height // 2, spec.margin_width // 2
    margins = ((top, spec.margin_height - top), (left, spec.margin_width - left), (0, 0))
    image = np.pad(image, margins)
    encoded = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(encoded, "PNG")
    return encoded.getvalue()
