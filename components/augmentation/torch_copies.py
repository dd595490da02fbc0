"""Stores augmented copies of images: `python -m components.augmentation.torch_copies ARGS.json`.

Twin of `keras_copies.py`.
"""

from collections.abc import Callable

import numpy as np
import torch

from components.augmentation.copies import SEED, CopyArgs, write_copies
from components.augmentation.policy import Policy
from components.augmentation.torch_augment import augmenter
from components.base.commands import run
from serving.contract.image_spec import ImageSpec


def main(args: CopyArgs) -> None:
    """Writes the shards that `args` asks for. On the CPU, where the seed alone decides."""
    torch.manual_seed(SEED)
    write_copies(args, on_arrays)


def on_arrays(policy: Policy, spec: ImageSpec) -> Callable[[np.ndarray], np.ndarray]:
    """`augmenter` for NumPy arrays (N, H, W, C)."""
    augment = augmenter(policy, spec)

    def on_array(images: np.ndarray) -> np.ndarray:
        return augment(torch.from_numpy(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()

    return on_array


if __name__ == "__main__":
    run("components.augmentation.torch_copies", CopyArgs, main)
