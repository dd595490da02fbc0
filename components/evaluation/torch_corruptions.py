"""Corrupts test images: `python -m components.evaluation.torch_corruptions ARGS.json`.

The one maker for both frameworks, see `corruptions.py`; of PyTorch because torchvision has them.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch

from components.base.commands import run
from components.data.arrays import ImageArrays, evenly, open_split
from components.data.pack import write_description, write_shard
from components.evaluation.corruptions import MOST_IMAGES, CorruptArgs

SEED = 0
_LEAST_BLUR = 0.7  # pixels
_BATCH = 100


def main(args: CorruptArgs) -> None:
    """Writes a split of at most 1,000 images for each of `args.corruptions`."""
    arrays = ImageArrays(args.arrays)
    test = open_split(arrays, "test")
    rows = evenly(len(test), MOST_IMAGES)
    # Networks see no margin; what is blurred or measured for contrast is what they see.
    spec = dataclasses.replace(arrays.spec, margin_height=0, margin_width=0)
    for name, strength in args.corruptions.items():
        # Each by a seed of its own: one more corruption changes none of the others.
        torch.manual_seed(SEED)

        def batches(name: str, strength: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for part in np.split(rows, range(_BATCH, len(rows), _BATCH)):
                yield corrupt(test.images(part), name, strength), test.labels[part]

        write_shard(args.output / name, 0, len(rows), spec, batches(name, strength))
    write_description(args.output, spec, arrays.labels)


def corrupt(images: np.ndarray, name: str, strength: float) -> np.ndarray:
    """uint8 (N, H, W, C), 1 or 3 channels, to the same; noise is PyTorch's, drawn by its seed."""
    # Here, because its import looks around for TensorFlow, which this module can do without.
    from torchvision.transforms.v2 import functional

    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    match name:
        case "noise":
            x = functional.gaussian_noise(x, sigma=strength)
        case "blur":
            sigma = max(_LEAST_BLUR, strength * min(x.shape[2:]))
            # Three standard deviations, but no more than can be reflected at the border.
            reach = min(round(3 * sigma), min(x.shape[2:]) - 1)
            x = functional.gaussian_blur(x, [2 * reach + 1] * 2, [sigma] * 2)
        case "brightness":
            x = functional.adjust_brightness(x, strength)
        case "contrast":
            x = functional.adjust_contrast(x, strength)
        case "jpeg":
            x = functional.jpeg(x, round(strength))
        case _:
            raise ValueError(f"unknown corruption {name!r}.")
    return x.permute(0, 2, 3, 1).numpy()


if __name__ == "__main__":
    run("components.evaluation.torch_corruptions", CorruptArgs, main)
