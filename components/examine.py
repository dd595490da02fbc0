"""Examine: one file, completely decoded and described, or the reason why it cannot be used.

Files whose decoding libraries could disagree on (EXIF rotation, palettes, alpha, 16 bit, CMYK,
animated) are re-encoded as PNG without loss of the pixels that Pillow sees; all others keep their
bytes.
"""

import dataclasses
import hashlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from components.image_spec import upright
from components.sources import RawImage
from pipeline.config import DataConfig

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
THUMBNAIL = 32
_KEPT = {("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGB")}
_EXIF_ORIENTATION = 0x0112


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
    """Decodes one image completely; the header's size is checked before any pixel is.

    Never raises for bad input: everything that cannot be used is returned as Quarantined.
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
            with Image.open(io.BytesIO(raw.data), formats=FORMATS) as image:
                if image.width * image.height > config.max_megapixels * 1e6:
                    return reject("image_too_large")
                image.load()
                return _describe(raw.data, image)
    except Image.UnidentifiedImageError:
        return reject("not_an_image")
    except Image.DecompressionBombError:
        return reject("image_too_large")
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on hostile files
        return reject(f"cannot_decode: {type(error).__name__}")


def _describe(data: bytes, image: Image.Image) -> Example:
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    plain = (
        (image.format, image.mode) in _KEPT
        and image.getexif().get(_EXIF_ORIENTATION, 1) == 1
        and "transparency" not in image.info
    )
    picture = image if plain else upright(image, 1 if grey else 3)
    pixels = np.asarray(picture, np.uint8)
    return Example(
        image=data if plain else _png(picture),
        sha256=_digest(pixels),
        height=pixels.shape[0],
        width=pixels.shape[1],
        channels=1 if pixels.ndim == 2 else pixels.shape[2],
        format=image.format,
        mean=float(pixels.mean() / 255),
        std=float(pixels.std() / 255),
        reencoded=not plain,
        thumbnail=_thumbnail(picture),
    )


def _digest(pixels: np.ndarray) -> str:
    """Equal for equal pictures, whether grey is stored in one channel or in three."""
    if pixels.ndim == 3 and not np.ptp(pixels, axis=2).any():
        pixels = np.ascontiguousarray(pixels[..., 0])
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _thumbnail(picture: Image.Image) -> np.ndarray:
    grey = picture.convert("L")
    size = (THUMBNAIL, THUMBNAIL)
    return np.asarray(grey if grey.size == size else grey.resize(size, reducing_gap=2.0))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    ImageOps.exif_transpose(image).save(buffer, "PNG")
    return buffer.getvalue()
