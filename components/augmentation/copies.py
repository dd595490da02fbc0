"""Augmented copies on disk, made in a process of each framework's own."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from components.augmentation.policy import Policy
from components.base.commands import Arguments
from components.data.arrays import ImageArrays, open_split
from components.data.pack import write_shard

SEED = 0
"""Of what is drawn once, for the plan; what a trainer draws follows `train.seed`."""
_SHARD, _BATCH = 10_000, 256  # images per file, and at a time


class CopyArgs(Arguments):
    """Arguments of `keras_copies` and `torch_copies`."""

    arrays: Path
    rows: Path
    """npy, int64 (N,): the rows of the training split to augment once each."""
    policy: Policy
    keep_margin: bool
    """True: the results are of the packed size, without the random crop, for training; False: they
    are what a network is fed."""
    output: Path
    """Directory for the shards, see components/data/arrays.py."""


def write_copies(args: CopyArgs, make_augmenter: Callable) -> None:
    """Carries out a command's `args`, in bounded memory.

    `make_augmenter(policy, spec)` gives a function from packed images, uint8 (n, H, W, C), to
    float images (n, H, W, C) of the size of `spec`.
    """
    arrays = ImageArrays(args.arrays)
    split, rows, spec = open_split(arrays, "train"), np.load(args.rows), arrays.spec
    if args.keep_margin:
        height, width, _ = spec.packed_shape
        spec = dataclasses.replace(
            spec, height=height, width=width, margin_height=0, margin_width=0
        )
    augment = make_augmenter(args.policy, spec)

    def batches(part: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch in np.split(part, range(_BATCH, len(part), _BATCH)):
            images = np.clip(np.round(augment(split.packed(batch))), 0, 255)
            yield images.astype(np.uint8), split.labels[batch]

    written = dataclasses.replace(spec, margin_height=0, margin_width=0)
    for number, part in enumerate(np.split(rows, range(_SHARD, len(rows), _SHARD))):
        write_shard(args.output, number, len(part), written, batches(part))
