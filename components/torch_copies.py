"""Stores augmented copies of training images: `python -m components.torch_copies ARGS.json`.

Twin of `keras_copies.py`.
"""

from collections.abc import Callable

import numpy as np
import torch

from components.augment import SEED, CopyArgs, write_copies
from components.commands import run
from components.image_spec import ImageSpec
from components.policy import Policy
from components.torch_augment import augmenter


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
    run("components.torch_copies", CopyArgs, main)
