"""Augmentation policies on PyTorch batches: vectorised tensor code, on the images' own device,
every parameter drawn for each image. Twin of `keras_augment.py`.
"""

import functools
import itertools
import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from components.augmentation.policy import (
    GEOMETRY,
    AnyOperation,
    Brightness,
    Contrast,
    Cutout,
    Flip,
    PadCrop,
    Policy,
    Rotate,
    Translate,
    Zoom,
)
from components.augmentation.sizes import sides
from serving.contract.image_spec import ImageSpec


def augmenter(policy: Policy, spec: ImageSpec) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from images (N, C, H, W) of the packed size, uint8 or float, 0 to 255, to float32
    (N, C, H, W) of `spec`'s size, in channels-last memory order.

    Where there is a margin it begins with a random crop. Every parameter is drawn anew for each
    image, from the global generator of the images' device (`torch.manual_seed`). Neighbouring
    translations, rotations and zooms become one resampling, so that small images are blurred once.
    """
    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    for affine, group in itertools.groupby(policy, lambda o: isinstance(o, GEOMETRY)):
        if affine:
            steps.append(functools.partial(_resample, list(group)))
        else:
            steps.extend(map(_single, group))

    @torch.no_grad()
    def augment(images: torch.Tensor) -> torch.Tensor:
        if spec.packed_shape != spec.shape:
            images = _random_crop(images, spec.height, spec.width)
        for step in steps:
            images = step(images)
        return images.float().contiguous(memory_format=torch.channels_last)

    return augment


@torch.no_grad()
def shrink(images: torch.Tensor, scale: float) -> torch.Tensor:
    """Float images (N, C, H, W) with sides of `scale` times as many pixels, in channels-last memory
    order: bilinear, with smoothing against aliases."""
    size = sides(images.shape[2:], scale)
    smaller = F.interpolate(images, size, mode="bilinear", antialias=True)
    return smaller.contiguous(memory_format=torch.channels_last)


def _single(operation: AnyOperation) -> Callable[[torch.Tensor], torch.Tensor]:
    match operation:
        case Flip():
            return _flip
        case PadCrop():
            return functools.partial(_pad_crop, operation)
        case Brightness():
            return functools.partial(_brightness, operation.fraction)
        case Contrast():
            return functools.partial(_contrast, operation.fraction)
        case Cutout():
            return functools.partial(_cutout, operation.fraction)
    raise TypeError(f"PyTorch has no translation of the operation {operation!r} yet.")


def _uniform(images: torch.Tensor, limit: float, *shape: int) -> torch.Tensor:
    """float32 (N, *shape), from -limit to limit."""
    size = (len(images), *shape)
    return torch.empty(size, device=images.device).uniform_(-limit, limit)


def _whole(images: torch.Tensor, count: int) -> torch.Tensor:
    """int64 (N, 1), from 0 to count - 1."""
    return torch.randint(count, (len(images), 1), device=images.device)


def _flip(images: torch.Tensor) -> torch.Tensor:
    return torch.where(_uniform(images, 1, 1, 1, 1) < 0, images.flip(3), images)


def _brightness(fraction: float, images: torch.Tensor) -> torch.Tensor:
    return (images * (1 + _uniform(images, fraction, 1, 1, 1))).clamp_(0, 255)


def _contrast(fraction: float, images: torch.Tensor) -> torch.Tensor:
    images = images.float()
    mean = images.mean((2, 3), keepdim=True)
    factor = 1 + _uniform(images, fraction, 1, 1, 1)
    return torch.lerp(mean, images, factor).clamp_(0, 255)


def _pad_crop(operation: PadCrop, images: torch.Tensor) -> torch.Tensor:
    sides = (operation.padding,) * 4
    if operation.border == "reflect":
        padded = F.pad(images.float(), sides, "reflect")  # on GPUs for floats alone
    else:
        padded = F.pad(images, sides)
    return _random_crop(padded, *images.shape[2:])


def _random_crop(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(N, C, height, width), cut from each image at a place of its own."""
    packed_height, packed_width = images.shape[2:]
    # A view of all places: an index for each image copies whole pictures, not single pixels.
    places = images.unfold(2, height, 1).unfold(3, width, 1)
    y = _whole(images, packed_height - height + 1)[:, 0]
    x = _whole(images, packed_width - width + 1)[:, 0]
    return places[_range(images, len(images)), :, y, x]


def _cutout(fraction: float, images: torch.Tensor) -> torch.Tensor:
    height, width = images.shape[2:]
    side = max(1, round(fraction * min(height, width)))

    def covered(size: int) -> torch.Tensor:
        place = _range(images, size) - (_whole(images, size) - side // 2)
        return (place >= 0) & (place < side)

    hole = covered(height)[:, None, :, None] & covered(width)[:, None, None]
    return images.masked_fill(hole, 0)


def _range(images: torch.Tensor, count: int) -> torch.Tensor:
    return torch.arange(count, device=images.device)


def _resample(operations: list[AnyOperation], images: torch.Tensor) -> torch.Tensor:
    """All the operations in one bilinear resampling; the border is zero."""
    matrix = functools.reduce(torch.matmul, [_source(o, images) for o in operations])
    grid = F.affine_grid(matrix[:, :2], list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


def _source(operation: AnyOperation, images: torch.Tensor) -> torch.Tensor:
    """float32 (N, 3, 3): where in the source each place (x, y, 1) of the result is read, in
    coordinates from -1 to 1 over width and height."""
    height, width = images.shape[2:]
    matrix = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
    match operation:
        case Translate():
            matrix[:, :2, 2] = _uniform(images, 2 * operation.fraction, 2)
        case Rotate():
            angle = _uniform(images, 2 * math.pi * operation.fraction)
            matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
            matrix[:, 0, 1] = -angle.sin() * height / width
            matrix[:, 1, 0] = angle.sin() * width / height
        case Zoom():
            matrix[:, :2] /= 1 + _uniform(images, operation.fraction, 1, 1)
    return matrix
