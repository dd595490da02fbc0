"""What the two tutorial loops share: arguments, images, and the line of JSON at the end."""

import argparse
import json
from pathlib import Path

import numpy as np

from components.data.arrays import ImageArrays

BATCH, LEARNING_RATE = 64, 1e-3
NETWORKS = ("cifar10", "cifar10_small")


def parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--images", type=int, default=6400, metavar="N", help="per epoch")
    parser.add_argument("--epochs", type=int, default=1, metavar="N")
    parser.add_argument("--network", choices=NETWORKS, default="cifar10")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--evaluate", action="store_true", help="on the test split, at the end")
    parser.add_argument("--arrays", type=Path, help="packed CIFAR-10; packed first without it")
    parser.add_argument("--data-dir", type=Path, help="TFDS's data directory with cifar10")
    arguments = parser.parse_args()
    if arguments.arrays is None:
        from benchmarks.prepared import packed  # only here: the loops need nothing of the line

        overrides = {"data.dir": str(arguments.data_dir)} if arguments.data_dir else {}
        arguments.arrays = packed("cifar10", overrides)
    return arguments


def load(arrays: Path, split: str, images: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The first images, uint8 (N, H, W, C), and labels, int64 (N,), of a packed split."""
    found = ImageArrays(arrays).split(split)
    rows = np.arange(min(images or len(found), len(found)))
    return found.images(rows), found.labels[rows]


def report(images: int, seconds: float, epochs: list[float], accuracy: float | None) -> None:
    """Prints the result. `images` were trained on in `seconds`, imports and the first step left
    out; `epochs` are seconds of whole epochs, with validation where the loop has it."""
    found = {
        "images_per_second": images / seconds,
        "seconds_per_epoch": sum(epochs) / len(epochs),
        "accuracy": accuracy,
    }
    print(json.dumps(found), flush=True)
