import io

import numpy as np
import pytest
from PIL import Image

from components.data.examine import THUMBNAIL, Example, Quarantined, examine
from components.sources.config import DataConfig
from components.sources.source import RawImage
from tests.helpers.images import encode, tile

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


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_that_means_nothing_is_none(value):
    exif = Image.Exif()
    exif[0x0112] = value
    data = encode(tile(1, 5, 5, 24, 40), "JPEG", exif=exif)
    example = _examine(data)
    assert example.image == data and (example.height, example.width) == (24, 40)


def test_the_orientation_that_counts_may_be_in_xmp():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    example = _examine(encode(tile(1, 5, 5, 24, 40), "JPEG", xmp=xmp))
    assert example.reencoded and (example.height, example.width) == (40, 24)


def test_reencoded_files_hold_pixels_and_nothing_else():
    palette = tile(0, 3, 3).quantize(9)
    data = encode(palette, "PNG", transparency=2, icc_profile=bytes(200), dpi=(300, 300))
    image = Image.open(io.BytesIO(_examine(data).image))
    image.load()
    assert image.mode == "RGB" and not image.info


def test_grey_in_three_channels_is_the_same_picture():
    grey = tile(0, 4, 4).convert("L")
    one, three = (_examine(encode(image, "PNG")) for image in (grey, grey.convert("RGB")))
    assert one.sha256 == three.sha256 != _examine(encode(tile(0, 4, 4), "PNG")).sha256
    assert (one.channels, three.channels) == (1, 3)
    np.testing.assert_array_equal(one.thumbnail, three.thumbnail)


def test_moments_are_those_of_all_pixels_in_one_block_or_in_several():
    large = Image.fromarray(np.tile(np.asarray(tile(1, 3, 3)), (20, 20, 1)))
    assert large.width * large.height * 3 > 2**20
    for image in (large, tile(1, 3, 3), Image.new("L", (9, 9), 17)):
        example, pixels = _examine(encode(image, "PNG")), np.asarray(image) / 255
        assert example.mean == pytest.approx(pixels.mean(), abs=1e-12)
        assert example.std == pytest.approx(pixels.std(), abs=1e-7)


def test_thumbnails_are_grey_and_of_one_size():
    for size in ((32, 32), (7, 90), (400, 300)):
        picture = tile(0, 0, 0, *size)
        thumbnail = _examine(encode(picture, "PNG")).thumbnail
        assert thumbnail.shape == (THUMBNAIL, THUMBNAIL) and thumbnail.dtype == np.uint8
        assert abs(thumbnail.mean() - np.asarray(picture.convert("L")).mean()) < 2


def test_what_cannot_be_decoded_is_quarantined_with_the_reason():
    good = encode(tile(0, 1, 1, 64, 64), "PNG")
    assert _examine(b"").reason == "empty_file"
    assert _examine(b"not an image at all").reason == "not_an_image"
    assert _examine(encode(tile(0, 1, 1), "AVIF")).reason == "unsupported_avif"
    assert _examine(good[: len(good) // 2]).reason == "truncated"
    assert _examine(good.replace(b"IDAT", b"IDAU")).reason == "damaged"
    assert _examine(None, problem="symbolic_link").reason == "symbolic_link"
    strict = DataConfig(source="digits", max_megapixels=0.001, max_file_mib=0.01)
    assert examine(RawImage("a", bytes(20_000), 0, None), strict).reason == "file_too_large"
    small = encode(Image.new("L", (64, 64)), "PNG")
    assert examine(RawImage("a", small, 0, None), strict).reason == "image_too_large"
    assert examine(RawImage("a", small, -1, None), CONFIG).reason == "no_label"
    assert _examine(good).height == 64


def test_a_tiff_is_kept_as_png_with_the_same_pixels():
    picture = tile(0, 2, 3, 40, 60)
    example = _examine(encode(picture, "TIFF", compression="tiff_lzw"))
    assert example.reencoded and example.format == "TIFF" and example.image[:4] == b"\x89PNG"
    assert np.array_equal(Image.open(io.BytesIO(example.image)), picture)
    assert example.sha256 == _examine(encode(picture, "PNG")).sha256
