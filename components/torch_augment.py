"""Augmentation policies on PyTorch batches, with kornia. Twin of `keras_augment.py`.

Run by itself it draws what the policy does: `python -m components.torch_augment ARGS.json` writes
`preview.png`, one row per class.
"""

import io
import itertools
from pathlib import Path

import kornia.augmentation as K
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from components import atomic
from components.arrays import ImageArrays, Split
from components.policy import (
    AnyOperation,
    Brightness,
    Contrast,
    Flip,
    PadCrop,
    Policy,
    Rotate,
    Translate,
    Zoom,
)
from components.training import Arguments, open_split, read_policy, run

GEOMETRY = (Translate, Rotate, Zoom)
PREVIEW_CLASSES, PREVIEW_VARIANTS, PREVIEW_PIXELS = 10, 8, 96


class PreviewArgs(Arguments):
    """Arguments of `python -m components.torch_augment`."""

    arrays: Path
    plan: Path
    output: Path
    """Directory for `preview.png`."""


def augmenter(policy: Policy, height: int, width: int) -> torch.nn.Module:
    """A module from images (N, C, H, W), uint8 or float, 0 to 255, to float32 of the same shape.

    Every parameter is drawn anew for each image, from PyTorch's global generator
    (`torch.manual_seed`). Neighbouring translations, rotations and zooms become one resampling,
    so that small images are blurred once.
    """
    steps = []
    for affine, group in itertools.groupby(policy, lambda o: isinstance(o, GEOMETRY)):
        if affine:
            steps.append(_affine(list(group)))
        else:
            steps.extend(_single(operation, height, width) for operation in group)
    return _Augment(*steps)


class _Augment(torch.nn.Sequential):
    """The operations one after the other, in channels-last memory order."""

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.float()).contiguous(memory_format=torch.channels_last)


class _Brightness(torch.nn.Module):
    """Multiplies each image by a factor of its own (kornia's RandomBrightness adds instead)."""

    def __init__(self, fraction: float):
        super().__init__()
        self.fraction = fraction

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images * _factors(images, self.fraction)).clamp(0, 255)


class _Contrast(torch.nn.Module):
    """Scales each image about its channels' means (kornia's RandomContrast scales about zero)."""

    def __init__(self, fraction: float):
        super().__init__()
        self.fraction = fraction

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.mean((2, 3), keepdim=True)
        return (mean + (images - mean) * _factors(images, self.fraction)).clamp(0, 255)


def _factors(images: torch.Tensor, fraction: float) -> torch.Tensor:
    shape = (len(images), 1, 1, 1)
    return torch.empty(shape, device=images.device).uniform_(1 - fraction, 1 + fraction)


def _affine(operations: list[AnyOperation]) -> torch.nn.Module:
    by_kind = {operation.kind: operation.fraction for operation in operations}
    if len(by_kind) < len(operations):
        raise ValueError(
            f"policy {operations!r} repeats an operation without another kind between; "
            "expected each of translate, rotate and zoom once in a row."
        )
    shift, zoom = by_kind.get("translate", 0.0), by_kind.get("zoom", 0.0)
    return K.RandomAffine(
        degrees=360 * by_kind.get("rotate", 0.0),
        translate=(shift, shift) if shift else None,
        scale=(1 - zoom, 1 + zoom) if zoom else None,
        p=1.0,
    )


def _single(operation: AnyOperation, height: int, width: int) -> torch.nn.Module:
    match operation:
        case Flip():
            return K.RandomHorizontalFlip(p=0.5)
        case PadCrop():
            return K.RandomCrop((height, width), padding=operation.padding, p=1.0)
        case Brightness():
            return _Brightness(operation.fraction)
        case Contrast():
            return _Contrast(operation.fraction)
    raise TypeError(f"PyTorch has no translation of the operation {operation!r} yet.")


def contact_sheet(split: Split, labels: list[str], policy: Policy) -> Image.Image:
    """One row per class (the first ten): its name, an original and eight variants of it."""
    shape = split.images(np.zeros(1, np.int64)).shape[1:]
    augment = augmenter(policy, shape[0], shape[1])
    factor = max(1, PREVIEW_PIXELS // max(shape[:2]))
    height, width = shape[0] * factor + 4, shape[1] * factor + 4
    font = ImageFont.load_default(14)
    shown = [c for c in range(len(labels)) if (split.labels == c).any()][:PREVIEW_CLASSES]
    margin = 16 + max(int(font.getlength(labels[c])) for c in shown)
    size = (margin + (1 + PREVIEW_VARIANTS) * width + 8, len(shown) * height)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, label in enumerate(shown):
        original = split.images(np.flatnonzero(split.labels == label)[:1])
        batch = torch.from_numpy(original).permute(0, 3, 1, 2)
        variants = augment(batch.expand(PREVIEW_VARIANTS, -1, -1, -1)).permute(0, 2, 3, 1)
        drawn = variants.round().clamp(0, 255).byte().numpy()
        middle = row * height + height // 2
        draw.text((8, middle), labels[label], fill="black", font=font, anchor="lm")
        for column, pixels in enumerate(np.concatenate([original, drawn])):
            tile = Image.fromarray(pixels.squeeze(-1) if shape[2] == 1 else pixels)
            tile = tile.resize((width - 4, height - 4), Image.Resampling.NEAREST)
            gap = 8 if column else 0  # sets the original apart from its variants
            sheet.paste(tile.convert("RGB"), (margin + column * width + gap, row * height + 2))
    return sheet


def main(args: PreviewArgs) -> None:
    """Writes `preview.png`: what the PyTorch policy makes of one training image per class."""
    torch.manual_seed(0)
    arrays = ImageArrays(args.arrays)
    policy = read_policy(args.plan, "torch")
    sheet = contact_sheet(open_split(arrays, "train"), arrays.labels, policy)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    atomic.write(args.output / "preview.png", buffer.getvalue())


if __name__ == "__main__":
    run("components.torch_augment", PreviewArgs, main)
