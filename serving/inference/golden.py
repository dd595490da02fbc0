"""golden.npz: images with the probabilities they were released with, from a file that nobody
vouches for."""

from pathlib import Path

import numpy as np

from serving.contract.image_spec import ImageSpec
from serving.inference.npz import arrays_of

MAX_IMAGES = 1024
MAX_BYTES = 512 * 2**20
"""Of the images together."""


def read_golden(
    path: Path, key: str, spec: ImageSpec, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, H, W, C) and the float (n, classes) that are there as `key`.

    Raises NotServable.
    """
    with arrays_of(path) as arrays:
        images = arrays.read("image", np.uint8, (None, *spec.shape), MAX_IMAGES, MAX_BYTES)
        shape = len(images), classes
        return images, arrays.read(key, np.float32, shape, MAX_IMAGES, MAX_BYTES)
