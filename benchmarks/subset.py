"""A part of CIFAR-10, written twice: as TFRecords for plain TFX, as an image folder for the line.

Both hold the same encoded bytes under the same labels and splits.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from components.base.refusal import ConfigError
from components.sources.source import SPLITS

_MAX_BYTES = 2**20
_VALIDATION = 10  # one of so many images that are given for training


@dataclasses.dataclass(frozen=True)
class Split:
    """Encoded images and their labels, places in the classes."""

    images: tuple[bytes, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> "Split":
        return Split(
            tuple(self.images[row] for row in rows), tuple(self.labels[row] for row in rows)
        )

    def as_png(self) -> "Split":
        """Decoded once, by Pillow: decoders differ in what they make of a JPEG file."""
        return Split(tuple(map(_png, self.images)), self.labels)


def _png(image: bytes) -> bytes:
    written = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").save(written, "PNG")
    return written.getvalue()


@dataclasses.dataclass(frozen=True)
class Subset:
    """`classes` in alphabetical order, as an image folder has them; `splits` by SPLITS' names."""

    classes: tuple[str, ...]
    splits: dict[str, Split]

    def write_records(self, directory: Path) -> None:
        """`<split>.tfrecord` of tf.Examples with `image` (bytes) and `label` (int64)."""
        import tensorflow as tf  # seconds, and the line's command line is to answer without it

        def feature(**value: object) -> tf.train.Feature:
            return tf.train.Feature(**value)

        directory.mkdir(parents=True)
        for name, split in self.splits.items():
            with tf.io.TFRecordWriter(str(directory / f"{name}.tfrecord")) as writer:
                for image, label in zip(split.images, split.labels):
                    of = {
                        "image": feature(bytes_list=tf.train.BytesList(value=[image])),
                        "label": feature(int64_list=tf.train.Int64List(value=[label])),
                    }
                    example = tf.train.Example(features=tf.train.Features(feature=of))
                    writer.write(example.SerializeToString())

    def write_folder(self, directory: Path) -> None:
        """`<split>/<class>/<n>.png`."""
        for name, split in self.splits.items():
            for folder in self.classes:
                (directory / name / folder).mkdir(parents=True)
            for row, (image, label) in enumerate(zip(split.images, split.labels)):
                path = directory / name / self.classes[label] / f"{row:05}.png"
                path.write_bytes(image)


def choose(
    classes: tuple[str, ...], train: Split, test: Split, images: tuple[int, int], seed: int = 0
) -> Subset:
    """`images` of each split, every class as often as any other, a tenth of the first for
    validation, all as PNG.

    Raises ConfigError where there are not enough.
    """
    random = np.random.default_rng(seed)
    training = train.take(stratified(train.labels, len(classes), images[0], random))
    held_out = stratified(training.labels, len(classes), images[0] // _VALIDATION, random)
    rest = np.setdiff1d(np.arange(len(training)), held_out)
    test = test.take(stratified(test.labels, len(classes), images[1], random))
    # In no order of classes: a plain line shuffles no more than its buffer holds.
    parts = (training.take(random.permutation(rest)), training.take(held_out), test)
    return Subset(classes, {name: part.as_png() for name, part in zip(SPLITS, parts)})


def stratified(
    labels: tuple[int, ...], classes: int, count: int, random: np.random.Generator
) -> np.ndarray:
    """`count` rows in random order; the first classes have one more where it does not divide.

    Raises ConfigError where a class has too few, or would have none.
    """
    every, more = divmod(count, classes)
    found = []
    for label in range(classes):
        rows = np.flatnonzero(np.asarray(labels) == label)
        wanted = every + (label < more)
        if not 0 < wanted <= len(rows):
            raise ConfigError(
                f"{count} images of {classes} classes are {wanted} of class {label}: "
                f"expected 1 to {len(rows)}, choose --images accordingly."
            )
        found.append(random.choice(rows, wanted, replace=False))
    return random.permutation(np.concatenate(found))


def read_cifar10(data_dir: Path) -> tuple[tuple[str, ...], dict[str, Split]]:
    """(classes, train and test) of TFDS's prepared files.

    Raises ConfigError where there are none.
    """
    from components.sources.tfds_source import TfdsSource

    source = TfdsSource("cifar10", str(data_dir))
    found: dict[str, tuple[list[bytes], list[int]]] = {name: ([], []) for name in source.splits}
    for chunk in source.chunks():
        for raw in source.read(chunk, _MAX_BYTES):
            assert raw.data is not None and raw.split is not None, "TFDS's images have both"
            found[raw.split][0].append(raw.data)
            found[raw.split][1].append(raw.label)
    return source.labels, {
        name: Split(tuple(images), tuple(labels)) for name, (images, labels) in found.items()
    }
