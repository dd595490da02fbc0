"""Pack: batches of preprocessed images into memory-mapped uint8 shards, with channel statistics."""

import dataclasses
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from serving.contract.image_spec import ImageSpec


@dataclasses.dataclass
class ChannelSums:
    """Running sums of pixels and of their squares per channel, exact: uint64 (C,), grey levels."""

    pixels: int = 0
    total: np.ndarray | int = 0
    squares: np.ndarray | int = 0

    def add(self, images: np.ndarray) -> None:
        """`images` is uint8 (N, H, W, C)."""
        self.pixels += images.size // images.shape[-1]
        self.total = self.total + images.sum(axis=0, dtype=np.uint64).sum(axis=(0, 1))
        squares = np.square(images, dtype=np.uint16)
        self.squares = self.squares + squares.sum(axis=0, dtype=np.uint64).sum(axis=(0, 1))

    def merge(self, other: "ChannelSums") -> "ChannelSums":
        return ChannelSums(
            self.pixels + other.pixels, self.total + other.total, self.squares + other.squares
        )

    def normalise(self, spec: ImageSpec) -> ImageSpec:
        """`spec` with this mean and std; a constant channel gets std 1 so that it stays finite."""
        mean = np.asarray(self.total / self.pixels / 255)
        std = np.sqrt(np.maximum(self.squares / self.pixels / 255**2 - mean**2, 0))
        std = np.where(std < 1e-3, 1.0, std)
        return dataclasses.replace(spec, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def write_shard(
    directory: Path,
    number: int,
    count: int,
    spec: ImageSpec,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
) -> ChannelSums:
    """Writes `labels-NNNNN.npy` and, in one rename, `images-NNNNN.npy` of `count` images.

    `batches` yields (images uint8 (n and `spec.packed_shape`), labels int64 (n,)). Returns
    the channel sums. Raises ValueError when they do not add up to `count`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f".{uuid.uuid4().hex}.npy"
    images = np.lib.format.open_memmap(
        unfinished, mode="w+", dtype=np.uint8, shape=(count, *spec.packed_shape)
    )
    labels, sums, row = np.empty(count, np.int64), ChannelSums(), 0
    for batch, batch_labels in batches:
        images[row : row + len(batch)] = batch
        labels[row : row + len(batch)] = batch_labels
        sums.add(batch)
        row += len(batch)
    if row != count:
        raise ValueError(f"Shard {number} of {directory} got {row} images, expected {count}.")
    images.flush()
    np.save(directory / f"labels-{number:05d}.npy", labels)
    os.replace(unfinished, directory / f"images-{number:05d}.npy")
    return sums


def write_description(directory: Path, spec: ImageSpec, labels: list[str]) -> None:
    """`image_spec.json` and `labels.json`, see components/data/arrays.py."""
    (directory / "image_spec.json").write_text(spec.to_json())
    (directory / "labels.json").write_text(json.dumps(labels))
