"""Ingest: every file is decoded, described and accounted for before anything learns from it.

What decodes becomes an example; what does not is quarantined with a reason. Files whose decoding
libraries could disagree on (EXIF rotation, palettes, alpha, 16 bit, CMYK, animated) are re-encoded
as PNG without loss of the pixels that Pillow sees; all others keep their bytes.
"""

import collections
import dataclasses
import hashlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from components.image_spec import upright
from components.sources import SPLITS, DataRefused, RawImage
from pipeline.config import DataConfig

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_KEPT = {("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGB")}
_EXIF_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class Example:
    """A decoded image: `image` holds its bytes, `sha256` is that of its pixels and their shape.

    `mean` and `std` are over all pixels on a 0-to-1 scale.
    """

    image: bytes
    label: int
    split: str
    sha256: str
    height: int
    width: int
    channels: int
    format: str
    mean: float
    std: float
    reencoded: bool


@dataclasses.dataclass(frozen=True)
class Quarantined:
    name: str
    reason: str
    label: int
    split: str
    size: int


def examine(raw: RawImage, config: DataConfig, own_splits: frozenset[str]) -> Example | Quarantined:
    """Decodes one image completely; the header's size is checked before any pixel is.

    Never raises for bad input: everything that cannot be used is returned as Quarantined.
    """

    def reject(reason: str) -> Quarantined:
        size = raw.size or len(raw.data or b"")
        return Quarantined(raw.name, reason, raw.label, raw.split or "unassigned", size)

    if raw.label < 0:
        return reject("no_label")
    if raw.problem:
        return reject(raw.problem)
    if not raw.data:
        return reject("empty_file")
    if len(raw.data) > config.max_file_mib * 2**20:
        return reject("file_too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw.data), formats=FORMATS) as image:
                if image.width * image.height > config.max_megapixels * 1e6:
                    return reject("image_too_large")
                image.load()
                return _describe(raw, image, config, own_splits)
    except Image.UnidentifiedImageError:
        return reject("not_an_image")
    except Image.DecompressionBombError:
        return reject("image_too_large")
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on hostile files
        return reject(f"cannot_decode: {type(error).__name__}")


def _describe(
    raw: RawImage, image: Image.Image, config: DataConfig, own_splits: frozenset[str]
) -> Example:
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    plain = (
        (image.format, image.mode) in _KEPT
        and image.getexif().get(_EXIF_ORIENTATION, 1) == 1
        and "transparency" not in image.info
    )
    picture = image if plain else upright(image, 1 if grey else 3)
    data = raw.data if plain else _png(picture)
    pixels = np.asarray(picture, np.uint8)
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return Example(
        image=data,
        label=raw.label,
        split=assign_split(raw.split, digest, config, own_splits),
        sha256=digest,
        height=pixels.shape[0],
        width=pixels.shape[1],
        channels=1 if pixels.ndim == 2 else pixels.shape[2],
        format=image.format,
        mean=float(pixels.mean() / 255),
        std=float(pixels.std() / 255),
        reencoded=not plain,
    )


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    ImageOps.exif_transpose(image).save(buffer, "PNG")
    return buffer.getvalue()


def assign_split(own: str | None, digest: str, config: DataConfig, splits: frozenset[str]) -> str:
    """The source's own split, or one by hash of the pixels: stable when files move or are added.

    `splits` are those the source has: what is missing among val and test is carved from train.
    """
    if own in ("val", "test"):
        return own
    position = int(digest[:13], 16) / 16**13
    for name, fraction in (("test", config.test_fraction), ("val", config.val_fraction)):
        if name not in splits:
            if position < fraction:
                return name
            position -= fraction
    return "train"


class Accounting:
    """Counts of one run's images: read = good + quarantined, per split and class."""

    def __init__(self):
        self.good = collections.Counter()
        self.reencoded = collections.Counter()
        self.quarantined: list[Quarantined] = []

    def add(self, result: Example | Quarantined) -> None:
        if isinstance(result, Quarantined):
            self.quarantined.append(result)
        else:
            self.good[result.split, result.label] += 1
            self.reencoded[result.format] += result.reencoded

    def merge(self, other: "Accounting") -> "Accounting":
        self.good.update(other.good)
        self.reencoded.update(other.reencoded)
        self.quarantined.extend(other.quarantined)
        return self

    def summary(self, labels: tuple[str, ...]) -> dict:
        """The `data` part of the verdict: totals, good images per split and class, reasons."""
        good = sum(self.good.values())
        return {
            "read": good + len(self.quarantined),
            "good": good,
            "quarantined": len(self.quarantined),
            "reencoded": {name: n for name, n in sorted(self.reencoded.items()) if n},
            "splits": {
                split: {name: self.good[split, i] for i, name in enumerate(labels)}
                for split in ("train", "val", "test")
            },
            "quarantine": [
                dataclasses.asdict(q) | {"label": labels[q.label] if q.label >= 0 else None}
                for q in sorted(self.quarantined, key=lambda q: q.name)
            ],
        }


def require_trainable(accounting: dict) -> None:
    """Raises DataRefused when nothing after ingest could even run: an empty split, one class."""
    read, good = accounting["read"], accounting["good"]
    if not good:
        reasons = sorted({q["reason"] for q in accounting["quarantine"]})
        sentence = (
            f"None of the {read} files is an image that can be decoded ({', '.join(reasons)}): "
            "expected JPEG, PNG, GIF, BMP or WEBP."
        )
        raise DataRefused(sentence, data=accounting)
    present = {name for split in accounting["splits"].values() for name, n in split.items() if n}
    if len(present) < 2:
        sentence = f"Only class {present.pop()!r} has images: a classifier needs at least two."
        raise DataRefused(sentence, data=accounting)
    for split in SPLITS:
        if not sum(accounting["splits"][split].values()):
            sentence = (
                f"Split {split!r} is empty: {good} images are too few for train, val and test; "
                "add images or change data.val_fraction and data.test_fraction."
            )
            raise DataRefused(sentence, data=accounting)
