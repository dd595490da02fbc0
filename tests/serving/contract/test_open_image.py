"""Files are opened or refused for a reason that a person can act on, and stand upright."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from serving.contract.open_image import REASONS, Undecodable, open_image, orientation, upright
from tests.helpers.crafted import chunk, gif, ihdr, png, png_of
from tests.helpers.images import encode, tile

IMAGE = tile(0, 6, 7, 21, 27)
RGB = np.asarray(IMAGE)


def refusal(data: bytes, max_megapixels: float = 50) -> Undecodable:
    with pytest.raises(Undecodable) as refused:
        open_image(data, max_megapixels)
    return refused.value


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_a_sentence(reason):
    error = Undecodable(reason, 9)
    assert str(error) == f"cannot decode 9 bytes: {REASONS[reason]}." and error.reason == reason
    assert str(Undecodable(reason, 9, ": why")).endswith(": why.")


def line(width: int) -> bytes:
    return png_of(ihdr(width, 1, 8, 0), zlib.compress(bytes(width + 1)))


def test_no_side_is_longer_than_jpegs_limit():
    image, ordinary = open_image(line(65_535), 50)
    assert image.size == (65_535, 1) and ordinary
    error = refusal(line(65_536))
    assert error.reason == "image_too_large"
    assert str(error).endswith(": 65536 x 1, at most 50 megapixels and 65535 a side.")
    tall = png_of(ihdr(1, 65_536, 8, 0), zlib.compress(bytes(2 * 65_536)))
    assert refusal(tall).reason == "image_too_large"


def test_the_area_allowed_is_allowed():
    data = encode(Image.new("L", (100, 50)), "PNG")
    assert open_image(data, 0.005)[0].size == (100, 50)
    error = refusal(data, 0.004999999)
    assert error.reason == "image_too_large" and f"cannot decode {len(data)} bytes" in str(error)


def test_what_pillow_thinks_a_bomb_is_too_large_whatever_is_allowed():
    data = gif((14_000, 14_000), (0, 0, 10, 10))
    error = refusal(data, 1000)
    assert error.reason == "image_too_large" and ": Image size (196000000 pixels)" in str(error)
    assert f"cannot decode {len(data)} bytes" in str(error)


def test_what_no_decoder_opens_is_damaged_and_says_what_the_decoder_says():
    data = png_of(ihdr(8, 8, 8, 5), zlib.compress(bytes(999)))
    error = refusal(data)
    assert error.reason == "damaged" and f"cannot decode {len(data)} bytes" in str(error)
    assert error.__cause__ is not None and str(error).endswith(f": {error.__cause__}.")
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21)))
    error = refusal(png_of(ihdr(8, 8), zlib.compress(bytes(200)), before=bomb))
    assert error.reason == "metadata_too_large" and "too large" in str(error)
    cut = png_of(ihdr(8, 8), zlib.compress(bytes(200)), before=chunk(b"pHYs", b"x"))
    assert isinstance(refusal(cut).__cause__, ValueError) and refusal(cut).reason == "damaged"
    assert str(refusal(data[:60])) == "cannot decode 60 bytes: the file's end is missing."
    assert str(refusal(b"junk")) == "cannot decode 4 bytes: they are not an image."
    assert refusal(b"%PDF-1.4").reason == "unsupported_type"
    animation = encode(IMAGE, "PNG", save_all=True, append_images=[tile(0, 2, 2, 21, 27)])
    error = refusal(animation)
    assert error.reason == "animated" and f"cannot decode {len(animation)} bytes" in str(error)
    first = encode(IMAGE, "GIF", save_all=True, append_images=[tile(0, 2, 2, 21, 27)])
    image, ordinary = open_image(first, 50)
    assert image.size == (27, 21) and not ordinary
    still = encode(IMAGE, "WEBP", lossless=True)
    assert np.array_equal(open_image(still, 50)[0], RGB)


def test_no_other_decoder_tries_what_the_one_of_its_type_refuses():
    """A GIF without a picture, behind whose end Pillow would find a Photo CD's."""
    data = (gif((10, 10), (0, 0, 10, 10))[:25] + b";").ljust(2048, b"\0") + b"PCD_"
    data = data.ljust(96 * 2048 + 768 * 512 * 3 // 2, b"\0")
    assert Image.open(io.BytesIO(data)).format == "PCD"
    assert refusal(data).reason == "damaged"


def test_a_picture_without_an_area_is_damaged():
    assert refusal(png_of(ihdr(0, 10), zlib.compress(b""))).reason == "damaged"


def with_orientation(value: object, block: str = "exif") -> bytes:
    if block == "exif":
        exif = Image.Exif()
        exif[0x0112] = value
        return encode(IMAGE, "PNG", exif=exif)
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{value}"/></x:xmpmeta>'
    if block == "xmp":
        return encode(IMAGE, "JPEG", quality=100, xmp=xmp.encode())
    text = PngImagePlugin.PngInfo()
    if block == "XML:com.adobe.xmp":
        text.add_itxt(block, xmp)
    else:
        entry = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x0112, 3, 1, value)
        entry += bytes(4)
        text.add_text(block, f"\nexif\n{len(entry):8}\n{entry.hex()}\n")
    return encode(IMAGE, "PNG", pnginfo=text)


BLOCKS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_is_read_wherever_it_is_and_undone(block, value):
    image, _ = open_image(with_orientation(value, block), 50)
    assert orientation(image) == value
    turned = upright(image, 3)
    assert turned.size == ((27, 21) if value < 5 else (21, 27))
    grey = upright(image, 1)
    assert grey.mode == "L" and grey.size == turned.size
    top, left = {
        1: (0, 0), 2: (0, 26), 3: (20, 26), 4: (20, 0),
        5: (0, 0), 6: (20, 0), 7: (20, 26), 8: (0, 26),
    }[value]  # fmt: skip
    # Where the picture's upper left corner was in the file.
    difference = np.abs(np.asarray(turned)[0, 0].astype(int) - np.asarray(image)[top, left])
    assert difference.max() == 0


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_that_means_nothing_is_upright(value):
    image, _ = open_image(with_orientation(value), 50)
    assert orientation(image) == 1 and np.array_equal(upright(image, 3), RGB)


def test_a_broken_block_and_none_are_upright():
    assert orientation(IMAGE) == 1
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 4\nnot hexadecimal")
    assert orientation(open_image(encode(IMAGE, "PNG", pnginfo=text), 50)[0]) == 1


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_every_mode_becomes_grey_or_rgb():
    wide = RGB[..., 0].astype(np.uint16) * 256 + 255 - RGB[..., 0]
    image, _ = open_image(png(wide, 0, 16), 50)
    scaled = np.floor(wide / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(upright(image, 1), scaled)
    assert np.array_equal(upright(image, 3), np.dstack([scaled] * 3))
    ends = np.array([[0, 128, 129, 385, 386, 65_535, 65_407, 65_406]], np.uint16)
    image, _ = open_image(png(ends, 0, 16), 50)
    assert np.asarray(upright(image, 1)).tolist() == [[0, 0, 1, 1, 2, 255, 255, 254]]
    for channels, mode in ((1, "L"), (3, "RGB")):
        for kept in (IMAGE.convert(mode),):
            assert upright(kept, channels) is kept
        alpha = IMAGE.convert("RGBA")
        alpha.putalpha(7)
        assert np.array_equal(upright(alpha, channels), IMAGE.convert(mode))
    palette = IMAGE.quantize(9)
    assert np.array_equal(upright(palette, 3), palette.convert("RGB"))
    # Of these Pillow warns, which callers ignore: transparency is dropped.
    palette.info["transparency"] = bytes(range(9))
    assert np.array_equal(upright(palette, 1), palette.convert("RGBA").convert("L"))
