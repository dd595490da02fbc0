"""Stores augmented copies of training images: `python -m components.keras_copies ARGS.json`.

Twin of `torch_copies.py`.
"""

from collections.abc import Callable

import keras
import numpy as np

from components.augment import SEED, CopyArgs, write_copies
from components.commands import run
from components.image_spec import ImageSpec
from components.keras_augment import augmenter
from components.policy import Policy


def main(args: CopyArgs) -> None:
    """Writes the shards that `args` asks for."""
    write_copies(args, on_arrays)


def on_arrays(policy: Policy, spec: ImageSpec) -> Callable[[np.ndarray], np.ndarray]:
    """`augmenter` for NumPy arrays (N, H, W, C)."""
    augment = augmenter(policy, spec, SEED)
    return lambda images: keras.ops.convert_to_numpy(augment(images, training=True))


if __name__ == "__main__":
    run("components.keras_copies", CopyArgs, main)
