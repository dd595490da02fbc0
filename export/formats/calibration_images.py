"""Training images on which the ranges of activations are measured before they become integers."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from components.data.arrays import ImageArrays

SEED = 0


@dataclasses.dataclass(frozen=True)
class CalibrationImages:
    """`images` uint8 (n, H, W, C), and what is recorded of them: `sha256` over their pixels."""

    images: np.ndarray
    sha256: str


def draw(arrays: str | Path, count: int, seed: int = SEED) -> CalibrationImages:
    """`count` images of the split train, or all where there are fewer, drawn by `seed`.

    From train, because what is measured on held-out images would flatter the comparison with them.
    Raises ValueError when the split is empty.
    """
    split = ImageArrays(arrays).split("train")
    if not len(split):
        raise ValueError(f"{arrays} has no training images to calibrate int8 formats on.")
    rows = np.random.default_rng(seed).permutation(len(split))[:count]
    images = split.images(np.sort(rows))
    return CalibrationImages(images, hashlib.sha256(images.tobytes()).hexdigest())
