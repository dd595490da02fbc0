"""TIFFs of the ordinary kinds are read; what could cost, mislead or confuse a decoder is named."""

import random
import struct

import numpy as np
import pytest
from PIL import Image

from serving.contract.open_image import Undecodable, open_image, upright
from serving.contract.tiff_structure import tiff
from tests.helpers.images import encode, tile

IMAGE = tile(0, 6, 7, 24, 40)
CODINGS = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")


def written(order: str, entries: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    """A TIFF of one directory of (tag, kind, number, value or place), and bytes behind it."""
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, number, value in sorted(entries):
        form = "HHIHxx" if kind == 3 and number == 1 else "HHII"
        directory += struct.pack(order + form, tag, kind, number, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8) + directory + bytes(4) + tail


def grey(**changes: int) -> list[tuple[int, int, int, int]]:
    """Entries of an uncompressed 8 x 4 picture whose pixels begin at byte 200."""
    values = {"t256": 8, "t257": 4, "t258": 8, "t259": 1, "t262": 1, "t273": 200, "t277": 1,
              "t278": 4, "t279": 32} | changes  # fmt: skip
    return [(int(tag[1:]), 4 if tag == "t273" else 3, 1, value) for tag, value in values.items()]


def file(*more: tuple[int, int, int, int], order: str = "<", **changes: int) -> bytes:
    data = written(order, [*grey(**changes), *more])
    return data + bytes(200 - len(data)) + bytes(range(100, 132))


def reason(data: bytes) -> str:
    with pytest.raises(Undecodable) as refused:
        open_image(data, 50)
    return refused.value.reason


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_ordinary_kinds_come_with_their_pixels(mode, coding):
    picture = IMAGE.convert(mode)
    image, ordinary = open_image(encode(picture, "TIFF", compression=coding), 50)
    assert not ordinary and image.size == (40, 24)
    assert np.array_equal(upright(image, 3), picture.convert("RGB"))


@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders_and_sixteen_bits(order):
    pixels = np.arange(100, 132, dtype=np.uint8).reshape(4, 8)
    assert np.array_equal(open_image(file(order=order), 50)[0], pixels)
    wide = np.asarray(IMAGE.convert("L")).astype(np.uint16) * 257
    image, _ = open_image(encode(Image.fromarray(wide), "TIFF"), 50)
    assert np.array_equal(upright(image, 1), IMAGE.convert("L"))


def test_of_several_pages_the_first_is_read_and_the_picture_stands_upright():
    others = [tile(1, 2, 2, 50, 50)]
    image, _ = open_image(encode(IMAGE, "TIFF", save_all=True, append_images=others), 50)
    assert np.array_equal(image, IMAGE)
    exif = Image.Exif()
    exif[0x0112] = 6
    image, _ = open_image(encode(IMAGE, "TIFF", exif=exif), 50)
    assert np.array_equal(upright(image, 3), np.rot90(np.asarray(IMAGE), -1))


def test_rare_kinds_are_named_as_unsupported():
    assert reason(encode(IMAGE.convert("CMYK"), "TIFF")) == "unsupported_tiff"
    assert reason(encode(IMAGE.convert("F"), "TIFF")) == "unsupported_tiff"
    assert reason(encode(IMAGE, "TIFF", compression="jpeg")) == "unsupported_tiff"
    assert reason(encode(IMAGE.convert("1"), "TIFF", compression="group4")) == "unsupported_tiff"
    tile_, raw, thumbnail = (324, 4, 1, 200), (50706, 1, 4, 1), (254, 4, 1, 1)
    for entry in (tile_, raw, thumbnail, (284, 3, 1, 2), (266, 3, 1, 2), (339, 3, 1, 2)):
        assert reason(file(entry)) == "unsupported_tiff", entry


def test_what_a_header_announces_is_checked_before_anything_is_decoded():
    assert reason(file(t256=60_000, t257=60_000)) == "image_too_large"
    assert reason(file(t256=0)) == "no_pixels"
    assert reason(file(t273=1_000)) == "truncated"
    assert reason(file()[:-1]) == "truncated"
    assert reason(written("<", [entry for entry in grey() if entry[0] != 273])) == "damaged"
    assert reason(file(t277=3)) == "unsupported_tiff"
    assert reason(file(t257=400)) == "damaged"  # of a hundred strips one is there
    assert reason(file(t257=5, t278=5)) == "truncated"  # which its strip does not fill
    assert reason(file(t279=31)) == "truncated"


def test_directories_cost_no_more_than_the_file_is_long():
    """Thousands of entries, entries that share one large value, and directories in circles."""
    large = bytes(2**20)
    many = [(1_000 + n, 7, 1, 0) for n in range(300)]
    assert reason(written("<", [*grey(), *many], large)) == "too_many_parts"
    shared = [(40_000 + n, 7, 2**20, 300) for n in range(100)]
    assert tiff(written("<", [*grey(), *shared], large))[2] == "damaged"
    circle = written("<", [*grey(), (34665, 4, 1, 8)])
    assert reason(circle + bytes(300)) == "damaged"
    assert reason(file((34665, 4, 1, 5_000))) == "truncated"


@pytest.mark.parametrize("coding", CODINGS)
def test_cut_and_altered_files_are_decoded_or_refused(coding):
    rng = random.Random(str(coding))
    good = encode(IMAGE, "TIFF", compression=coding)
    for number in range(600):
        data = bytearray(good[: rng.randrange(20, len(good))] if number % 3 == 0 else good)
        for _ in range(rng.randrange(1, 4)):
            where = rng.randrange(len(data)) if number % 2 else len(data) - rng.randrange(1, 200)
            data[max(4, where)] = rng.randrange(256)
        try:
            image, ordinary = open_image(bytes(data), 1)
        except Undecodable:
            continue
        assert not ordinary and image.width * image.height <= 1e6
        upright(image, 3)
