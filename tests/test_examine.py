import io

import numpy as np
import pytest
from PIL import Image

from components.examine import Example, Quarantined, examine
from components.sources import RawImage
from pipeline.config import DataConfig
from tests.images import encode, tile

CONFIG = DataConfig(source="digits")


def _examine(data: bytes | None, **changes) -> Example | Quarantined:
    return examine(RawImage("a/1", data, 0, None, **changes), CONFIG)


def _pixels(example: Example) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(example.image)))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_ordinary_files_keep_their_bytes(format, mode):
    data = encode(tile(0, 3, 4, 30, 40).convert(mode), format)
    example = _examine(data)
    assert example.image == data and not example.reencoded
    assert (example.height, example.width) == (30, 40)
    assert (example.format, example.channels) == (format, 1 if mode == "L" else 3)
    assert example.mean == pytest.approx(_pixels(example).mean() / 255)


@pytest.mark.parametrize("format", ["GIF", "BMP", "WEBP"])
def test_other_formats_are_reencoded_without_loss(format):
    data = encode(tile(0, 3, 4), format)
    example = _examine(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert example.reencoded and example.image.startswith(b"\x89PNG")
    np.testing.assert_array_equal(_pixels(example), expected)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_applied(orientation):
    upright = tile(1, 5, 5, 24, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    example = _examine(encode(upright, "PNG", exif=exif))
    turned = orientation >= 5
    assert (example.height, example.width) == ((40, 24) if turned else (24, 40))
    assert example.reencoded


def test_sixteen_bits_are_scaled_and_not_clipped():
    wide = Image.fromarray((np.arange(64, dtype=np.uint16) * 1024).reshape(8, 8))
    example = _examine(encode(wide, "PNG"))
    expected = np.round(np.arange(64) * 1024 / 257).reshape(8, 8)
    np.testing.assert_array_equal(_pixels(example), expected)


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA", "CMYK"])
def test_exotic_modes_become_grey_or_rgb(mode):
    format = "JPEG" if mode == "CMYK" else "PNG"
    example = _examine(encode(tile(0, 2, 2).convert(mode), format))
    assert example.channels == (1 if mode in ("1", "LA") else 3)


def test_what_cannot_be_decoded_is_quarantined_with_the_reason():
    good = encode(tile(0, 1, 1, 64, 64), "PNG")
    assert _examine(b"").reason == "empty_file"
    assert _examine(b"not an image at all").reason == "not_an_image"
    assert _examine(good[: len(good) // 2]).reason == "truncated"
    assert _examine(None, problem="symbolic_link").reason == "symbolic_link"
    small = DataConfig(source="digits", max_megapixels=0.001)
    assert examine(RawImage("a", good, 0, None), small).reason == "image_too_large"
    assert examine(RawImage("a", good, -1, None), CONFIG).reason == "no_label"
