"""Opening a file that nobody vouches for: a decoded image, or the reason why it cannot be used.

Ingest and the server open images here, so that both refuse the same files. Pillow and NumPy only.
"""

import io

from PIL import ExifTags, Image

from serving.contract.magic import FORMATS, identify
from serving.contract.structure import inflated, structure

MAX_SIDE = 65_535
"""Pixels of a side: JPEG's own limit. TensorFlow refuses a PNG with sides over a million."""
REASONS = {
    "not_an_image": "they are not an image",
    "unsupported_type": f"the type is none of {', '.join(FORMATS)}",
    "unsupported_avif": "AVIF is not read: save the image as JPEG or PNG",
    "unsupported_heic": "HEIC is not read: have the telephone export JPEG, or convert the image",
    "unsupported_tiff": "the TIFF is tiled, raw, CMYK, float or in a rare coding: save it as PNG",
    "unsupported_bmp": "the BMP has a layout of bits or a coding that is not read: save it as PNG",
    "no_pixels": "the header announces a width or a height of 0",
    "image_too_large": "the header announces too large an image",
    "truncated": "the file's end is missing",
    "damaged": "the file is damaged",
    "animated": "an animated PNG or WEBP is not one image",
    "too_many_scans": "more passes than encoders write would only cost time",
    "too_many_parts": "more parts than encoders write would only cost time",
    "metadata_too_large": "a text or a colour profile unpacks to more than 1 MiB",
}
"""Why bytes cannot be used as an image: code to sentence."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Undecodable(ValueError):
    """Bytes that cannot be used as an image; `reason` is a key of REASONS."""

    def __init__(self, reason: str, size: int, detail: str = ""):
        super().__init__(f"cannot decode {size} bytes: {REASONS[reason]}{detail}.")
        self.reason = reason


def open_image(
    data: bytes, max_megapixels: float, enough: int | None = None
) -> tuple[Image.Image, bool]:
    """(the decoded image, whether it is ordinary: see `structure.Structure`).

    With `enough` a JPEG may come in a half, quarter or eighth of its size, which takes less time,
    while its sides have that many pixels.

    A GIF's first frame is used, and the first picture of a multi-picture JPEG. Type and size are
    taken from the content and checked before a decoder sees it. JPEG data that is damaged though
    its end is there goes unnoticed: libjpeg fills in grey, and Pillow hides its warning.

    Raises Undecodable.
    """
    format = identify(data)
    if format in ("AVIF", "HEIC"):
        raise Undecodable(f"unsupported_{format.lower()}", len(data))
    if format not in FORMATS:
        raise Undecodable("unsupported_type" if format else "not_an_image", len(data))
    found = structure(data, format)
    area = found.width * found.height
    if area > max_megapixels * 1e6 or max(found.width, found.height) > MAX_SIDE:
        size = f": {found.width} x {found.height}, at most {max_megapixels:g} megapixels"
        raise Undecodable("image_too_large", len(data), f"{size} and {MAX_SIDE} a side")
    if format == "PNG" and area and not found.problem:
        found = inflated(data, found)
    if found.problem:
        raise Undecodable(found.problem, len(data))
    try:
        image = Image.open(io.BytesIO(data), formats=(format,))
        if format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
            raise Undecodable("animated", len(data))
        if enough:
            image.draft(None, (enough, enough))
        image.load()
    except Undecodable:
        raise
    except Image.DecompressionBombError as error:
        raise Undecodable("image_too_large", len(data), f": {error}") from error
    except Exception as error:  # decoders raise whatever they like on hostile files
        bomb = isinstance(error, ValueError) and "too large" in str(error)
        reason = "metadata_too_large" if bomb else "damaged"
        if str(error).startswith("Unsupported BMP"):
            reason = "unsupported_bmp"
        raise Undecodable(reason, len(data), f": {error}") from error
    return image, found.ordinary


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
        return value if value in _TURNS else 1
    except Exception:  # a broken block says nothing about the pixels, which are good
        return 1


def upright(image: Image.Image, channels: int) -> Image.Image:
    """The image turned as its EXIF orientation says, in mode `L` (1 channel) or `RGB` (3).

    16-bit grey is scaled to 8 bits and rounded (Pillow's own conversion clips); of 16-bit colour
    or alpha Pillow hands out the high bytes only. Alpha is dropped, CMYK converted by Pillow.
    """
    if (turn := orientation(image)) != 1:
        image = image.transpose(_TURNS[turn])
    if image.mode.startswith("I"):
        import numpy as np

        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)
