"""Examine: one file, completely decoded and described, or the reason why it cannot be used.

Ordinary JPEG and PNG files keep their bytes. What decoders could disagree on (EXIF rotation,
palettes, alpha, 16 bit, CMYK, any oddity of the structure) and other types are re-encoded as PNG,
without loss of the pixels that `open_image.upright` gives.
"""

import dataclasses
import hashlib
import io
import warnings

import numpy as np
from PIL import Image

from components.sources.config import DataConfig
from components.sources.source import RawImage
from serving.contract.open_image import Undecodable, open_image, orientation, upright

THUMBNAIL = 32
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class Example:
    """A decoded image: `image` holds its bytes, `sha256` is that of its pixels and their shape.

    `mean` and `std` are over all pixels on a 0-to-1 scale; `thumbnail` is the image in grey,
    uint8 (32, 32), for the perceptual hash.
    """

    image: bytes
    sha256: str
    height: int
    width: int
    channels: int
    format: str
    mean: float
    std: float
    reencoded: bool
    thumbnail: np.ndarray


@dataclasses.dataclass(frozen=True)
class Quarantined:
    """A file that cannot be used; `size` is in bytes, as far as it is known."""

    name: str
    reason: str
    label: int
    split: str
    size: int


def examine(raw: RawImage, config: DataConfig) -> Example | Quarantined:
    """Decodes one image completely, after its header's size has been checked.

    Never raises for bad input: everything that cannot be used is returned as Quarantined, with the
    source's own problem, `empty_file`, `no_label`, `file_too_large` or a key of
    `open_image.REASONS`.
    """

    def reject(reason: str) -> Quarantined:
        size = raw.size or len(raw.data or b"")
        return Quarantined(raw.name, reason, raw.label, raw.split or "unassigned", size)

    if raw.problem:
        return reject(raw.problem)
    if raw.label < 0:
        return reject("no_label")
    if not raw.data:
        return reject("empty_file")
    if len(raw.data) > config.max_file_mib * 2**20:
        return reject("file_too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image, ordinary = open_image(raw.data, config.max_megapixels)
            return _describe(raw.data, image, ordinary)
    except Undecodable as error:
        return reject(error.reason)
    except Exception:  # Pillow's conversions of odd palettes and the like may fail, too
        return reject("damaged")


def _describe(data: bytes, image: Image.Image, ordinary: bool) -> Example:
    kept = ordinary and orientation(image) == 1
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    picture = image if kept else upright(image, 1 if grey else 3)
    width, height = picture.size
    raw_pixels = picture.tobytes()
    assert image.format is not None, "it was read from a file"
    mean, std = _moments(np.frombuffer(raw_pixels, np.uint8))
    return Example(
        image=data if kept else _png(picture),
        sha256=_digest(raw_pixels, height, width),
        height=height,
        width=width,
        channels=len(picture.mode),
        format="JPEG" if image.format == "MPO" else image.format,
        mean=mean,
        std=std,
        reencoded=not kept,
        thumbnail=_thumbnail(picture),
    )


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of uint8 values divided by 255; whole numbers until the end."""
    total = squares = 0.0
    for start in range(0, len(values), _BLOCK):  # bounds the memory of a large image's floats
        block = values[start : start + _BLOCK].astype(np.float64)
        total += block.sum()
        squares += float(block @ block)
    mean = total / len(values)
    return float(mean / 255), float(max(0.0, squares / len(values) - mean**2) ** 0.5 / 255)


def _digest(pixels: bytes, height: int, width: int) -> str:
    """Equal for equal pictures, whether grey is stored in one channel or in three."""
    shape: tuple[int, ...] = (height, width)
    if len(pixels) > height * width:
        red = pixels[::3]
        if red == pixels[1::3] and red == pixels[2::3]:
            pixels = red
        else:
            shape = (height, width, 3)
    digest = hashlib.sha256(repr(shape).encode())
    digest.update(pixels)
    return digest.hexdigest()


def _thumbnail(picture: Image.Image) -> np.ndarray:
    size = (THUMBNAIL, THUMBNAIL)
    grey = picture.convert("L")
    if grey.size != size:
        grey = grey.resize(size, reducing_gap=2.0)
    return np.frombuffer(grey.tobytes(), np.uint8).reshape(size)


def _png(picture: Image.Image) -> bytes:
    picture.info = {}  # a profile or a transparent colour would be written into the file
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
