"""Stores augmented copies of images: `python -m components.augmentation.keras_copies ARGS.json`.

Twin of `torch_copies.py`.
"""

from collections.abc import Callable

import keras
import numpy as np

from components.augmentation.copies import SEED, CopyArgs, write_copies
from components.augmentation.keras_augment import augmenter
from components.augmentation.policy import Policy
from components.base.commands import run
from serving.contract.image_spec import ImageSpec


def main(args: CopyArgs) -> None:
    """Writes the shards that `args` asks for."""
    write_copies(args, on_arrays)


def on_arrays(policy: Policy, spec: ImageSpec) -> Callable[[np.ndarray], np.ndarray]:
    """`augmenter` for NumPy arrays (N, H, W, C)."""
    augment = augmenter(policy, spec, SEED)
    return lambda images: keras.ops.convert_to_numpy(augment(images, training=True))


if __name__ == "__main__":
    run("components.augmentation.keras_copies", CopyArgs, main)
