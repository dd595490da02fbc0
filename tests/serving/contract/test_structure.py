"""What is read from a file's structure: Pillow's size, whether it is cut, what is odd about it."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from serving.contract import structure as walks
from serving.contract.magic import identify
from serving.contract.open_image import Undecodable, open_image
from serving.contract.structure import Structure, inflated, structure
from tests.helpers import hostile_files
from tests.helpers.crafted import (
    bmp,
    chunk,
    gif,
    ihdr,
    jpeg_with,
    png,
    png_of,
    segment,
    segments,
    webp,
)
from tests.helpers.images import encode, tile
from tests.helpers.mutate import originals

IMAGE = tile(0, 6, 7, 21, 27)
GREY = IMAGE.convert("L")
RGB = np.asarray(IMAGE)
PICTURE = zlib.compress(bytes(8 * 25))  # of ihdr(8, 8)


def found(data: bytes) -> Structure:
    return structure(data, identify(data) or "")


def pillows_size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


SIZED = {
    **{f"original {number}": data for number, data in enumerate(originals())},
    "wide JPEG": jpeg_with(size=(700, 300)),
    "BMP upside down": bmp(27, -21, 24, bytes(4 * 27 * 21)),
    "BMP of OS/2": b"BM" + struct.pack("<IIIIHHHH", 0, 0, 26, 12, 300, 2, 1, 24) + bytes(1800),
    "GIF enlarged": gif((5, 300), (300, 3, 10, 10)),
    "GIF larger": gif((500, 300), (3, 3, 10, 10)),
    "large lossless WEBP": encode(IMAGE.resize((300, 700)), "WEBP", lossless=True),
    "large WEBP": encode(IMAGE.resize((300, 700)), "WEBP"),
    "large WEBP with alpha": encode(IMAGE.resize((300, 700)).convert("RGBA"), "WEBP", exif=b"x"),
}


@pytest.mark.parametrize("name", SIZED)
def test_the_size_is_pillows_and_nothing_is_missing(name):
    data = SIZED[name]
    said = found(data)
    if "GIF" not in name:
        assert (said.width, said.height) == pillows_size(data)
    assert said.problem is None
    assert found(data + b"more behind its end").problem is None


def test_a_gif_is_as_large_as_its_first_picture_makes_it():
    assert found(SIZED["GIF enlarged"])[:2] == (310, 300)
    assert found(SIZED["GIF larger"])[:2] == (500, 300)
    two = gif((5, 5), (0, 0, 10, 4))[:-1] + gif((5, 5), (0, 0, 90, 90))[25:]
    assert found(two)[:3] == (10, 5, None)
    assert found(gif((5, 5), (0, 0, 4, 10)))[:2] == (5, 10)


@pytest.mark.parametrize("number", range(len(originals())))
def test_a_file_cut_at_any_byte_is_truncated(number):
    data = originals()[number]
    kind = identify(data)
    ends = range(len(data) - 60, len(data)) if len(data) > 900 else range(len(data))
    for end in (*range(20), *ends, *random.Random(number).sample(range(len(data)), 40)):
        if identify(data[:end]) == kind:
            assert structure(data[:end], kind).problem == "truncated", end


HEADERS = {
    "JPEG": b"\xff\xd8\xff\xe0\0",
    "PNG": encode(IMAGE, "PNG")[:20],
    "GIF": encode(GREY, "GIF")[:9],
    "BMP": encode(IMAGE, "BMP")[:25],
    "lossy WEBP": encode(IMAGE, "WEBP")[:28],
    "lossless WEBP": encode(IMAGE, "WEBP", lossless=True)[:24],
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_file_cut_in_its_header_has_no_size(name):
    assert found(HEADERS[name]) == (0, 0, "truncated", False)


HUGE = {
    "PNG": (png_of(ihdr(2**32 - 1, 2**31), b""), 2**32 - 1, 2**31),
    "GIF": (gif((40_000, 50_000), (0, 0, 10, 10)), 40_000, 50_000),
    "GIF's picture": (gif((10, 10), (40_000, 5, 10, 50_000)), 40_010, 50_005),
    "BMP of OS/2": (
        b"BM" + struct.pack("<IIIIHHHH", 0, 0, 26, 12, 40_000, 50_000, 1, 1), 40_000, 50_000,
    ),
    "WEBP": (
        webp(b"VP8X", bytes(4) + (70_000).to_bytes(3, "little") + (80_001).to_bytes(3, "little")),
        70_001, 80_002,
    ),
    "WEBP of an unknown kind": (webp(b"VP9 ", bytes(90)), 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_sides_are_read_in_full(name):
    data, *sides = HUGE[name]
    assert list(found(data)[:2]) == sides


@pytest.mark.parametrize("compression", [0, 3])
def test_the_size_of_a_bmps_rows_is_computed_where_its_header_need_not_say_it(compression):
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    data = bytearray(bmp(27, 21, 32, bytes(4 * 27 * 21), compression, masks))
    data[34:38] = bytes(4)
    assert found(bytes(data)) == (27, 21, None, False)
    assert found(bytes(data[:-1])) == (27, 21, "truncated", False)
    assert found(SIZED["BMP of OS/2"][:-1]).problem == "truncated"


@pytest.mark.parametrize("place", [10, 34])
def test_a_bmp_that_claims_to_hold_gigabytes_is_truncated(place):
    """Where its data begins, or how much there is of run lengths."""
    data = bytearray(bmp(27, 21, 8, bytes(900), 1))
    assert found(bytes(data)).problem is None
    data[place : place + 4] = b"\xff" * 4
    assert found(bytes(data)).problem == "truncated"


def test_nothing_is_looked_for_in_a_gifs_colour_tables():
    whole, table = gif((10, 10), (0, 0, 10, 10)), b";,!" * 4
    start, place = whole[:13], whole.index(b",") + 9
    body = whole[25 : place + 1]
    for flags, colours in ((0, b""), (1, b""), (0x81, table)):
        behind = bytes([flags]) + colours + whole[place + 1 :]
        data = start + table + body[:-1] + behind
        assert found(data) == (10, 10, None, False)
        assert found(data[:-1]) == (10, 10, "truncated", False)


@pytest.mark.parametrize("last", [b"!", b",", b";"])
def test_nothing_is_looked_for_in_a_gifs_blocks(last):
    data = gif((10, 10), (0, 0, 10, 10), extension=b"!\xfe\1" + last + b"\0")
    assert found(data) == (10, 10, None, False)
    assert found(data[:-1]) == (10, 10, "truncated", False)


MAKERS = ("truncated", "damaged", "exotic", "wrapped", "foreign", "bombs", "slow")
CORPUS = {
    name: (data, expected)
    for maker in MAKERS
    for name, data, expected in getattr(hostile_files, maker)(random.Random(maker))
    if data
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_file_is_decoded_or_refused_for_its_reason(name):
    data, expected = CORPUS[name]
    try:
        image, ordinary = open_image(data, 50)
    except Undecodable as error:
        assert error.reason == expected
        return
    assert expected == "decoded"
    said = found(data)
    assert (said.width, said.height) == image.size
    # What decoders treat alike: an 8-bit grey or RGB JPEG or PNG with nothing odd.
    odd = "cmyk ycck grey-alpha rgba grey1 grey2 grey4 rgb16 palette bits top-down critical too-m"
    strange = any(name.startswith(word) for word in odd.split())
    assert ordinary == (image.format in ("JPEG", "PNG", "MPO") and not strange)


def jpeg(number_of_scans: int = 0, **options) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    parts = segments(encode(IMAGE, "JPEG", progressive=True, **options))
    scans = [part for part in parts if part[1] == 0xDA]
    return b"".join(parts[:-1]) + scans[-1] * number_of_scans + parts[-1]


def test_a_progressive_jpeg_may_have_a_hundred_scans():
    own = sum(part[1] == 0xDA for part in segments(jpeg()))
    assert found(jpeg(100 - own)).problem is None
    assert found(jpeg(101 - own))[:3] == (27, 21, "too_many_scans")


def test_parts_are_counted_one_by_one(monkeypatch):
    monkeypatch.setattr(walks, "MAX_PARTS", 100)
    small = encode(IMAGE, "JPEG")
    own = len(segments(small)) - 2  # its start and its end are none
    for more, problem in ((100 - own, None), (101 - own, "too_many_parts")):
        for part in (segment(0xFE, b""), b"\xff\1"):
            assert found(small[:2] + part * more + small[2:])[:3] == (27, 21, problem)
    for more, problem in ((98, None), (99, "too_many_parts")):
        data = png_of(ihdr(8, 9), zlib.compress(bytes(9 * 25)), before=chunk(b"prVt") * more)
        assert found(data)[:3] == (8, 9, problem)
    for more, problem in ((99, None), (100, "too_many_parts")):
        blocks = b"!\xfe" + b"\1x" * more + b"\0"
        data = gif((10, 11), (0, 0, 10, 10), extension=blocks)
        assert found(data)[:3] == (10, 11, problem)
        assert found(gif((10, 11), (0, 0, 10, 10))[:-1] + blocks + b";")[:3] == (10, 11, problem)


def test_blocks_before_a_gifs_picture_are_counted_apart(monkeypatch):
    monkeypatch.setattr(walks, "MAX_LEADING_BLOCKS", 20)
    for more, problem in ((20, None), (21, "too_many_parts")):
        blocks = b"!\xfe" + b"\1x" * more + b"\0"
        assert found(gif((10, 11), (0, 0, 10, 10), extension=blocks))[:3] == (10, 11, problem)
    behind = gif((10, 11), (0, 0, 10, 10))[:-1] + blocks + b";"
    assert found(behind).problem is None


def test_sixteen_compressed_texts_are_enough_for_anyone():
    text = zlib.compress(b"a text")
    kinds = (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")
    for name, head in kinds:
        for times, problem in ((16, None), (17, "too_many_parts")):
            data = png_of(ihdr(8, 8), PICTURE, before=chunk(name, head + text) * times)
            assert found(data).problem == problem
    plain = png_of(ihdr(8, 8), PICTURE, before=chunk(b"tEXt", b"a\0b") * 17)
    assert found(plain).problem is None


ORDINARY = {
    "JPEG": encode(IMAGE, "JPEG"),
    "JPEG 4:4:4": encode(IMAGE, "JPEG", subsampling=0),
    "grey JPEG": encode(GREY, "JPEG"),
    "progressive": encode(IMAGE, "JPEG", progressive=True),
    "grey progressive": encode(GREY, "JPEG", progressive=True, quality=95),
    "restart markers": encode(IMAGE, "JPEG", restart_marker_blocks=1),
    "extended JPEG": jpeg_with(frame=0xC1),
    "first and last APP segment": jpeg_with(segment(0xE0, b"x") + segment(0xEF, b"")),
    "comment": jpeg_with(segment(0xFE, b"x")),
    "PNG": encode(IMAGE, "PNG"),
    "grey PNG": encode(GREY, "PNG"),
    "interlaced": png(RGB, 2, interlaced=True),
    "grey interlaced": png(np.asarray(GREY), 0, interlaced=True),
    "one row interlaced": png(RGB[:1], 2, interlaced=True),
    "one column interlaced": png(RGB[:, :1], 2, interlaced=True),
    **{
        f"{name.decode()} chunk": png_of(ihdr(8, 8), PICTURE, before=chunk(name, b"a\0\0x"))
        for name in (
            b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"tEXt", b"tIME", b"bKGD", b"eXIf",
            b"zTXt", b"iTXt", b"iCCP",
        )
    },
    "text behind": png_of(ihdr(8, 8), PICTURE, after=chunk(b"tEXt", b"a\0b")),
}  # fmt: skip


def in_two(data: bytes, between: bytes = b"", at: int = 9) -> bytes:
    """A PNG whose data is in two chunks."""
    start = b"\x89PNG\r\n\x1a\n" + ihdr(8, 8)
    both = chunk(b"IDAT", data[:at]) + between + chunk(b"IDAT", data[at:])
    return start + both + chunk(b"IEND")


def in_window(width: int, height: int) -> bytes:
    """A grey PNG that unpacks within 512 bytes, and says so."""
    packer = zlib.compressobj(wbits=9)
    return png_of(
        ihdr(width, height, 8, 0), packer.compress(bytes((width + 1) * height)) + packer.flush()
    )


ORDINARY["two chunks of data"] = in_two(PICTURE)
ORDINARY["an empty chunk of data"] = in_two(PICTURE, chunk(b"IDAT"))
ORDINARY["a checksum in a chunk of its own"] = in_two(PICTURE, at=-4)
ORDINARY["data as large as its window"] = in_window(63, 8)
BASELINE = segments(encode(IMAGE, "JPEG"))
SCAN = next(part for part in BASELINE if part[1] == 0xDA)


def once_more(first: int, last: int, accuracy: int) -> bytes:
    """A JPEG with a second scan of these coefficients."""
    header = 2 + int.from_bytes(SCAN[2:4], "big")
    scan = SCAN[: header - 3] + bytes((first, last, accuracy)) + SCAN[header:]
    return b"".join([*BASELINE[:-1], scan, BASELINE[-1]])


ORDINARY["a scan of no coefficient"] = once_more(2, 0, 1)


def with_frame(change) -> bytes:
    """A JPEG whose frame header is changed in place."""
    parts = [bytearray(part) for part in BASELINE]
    change(next(part for part in parts if part[1] == 0xC0))
    return b"".join(parts)


def twelve_bits(frame: bytearray) -> None:
    frame[4] = 12


def two_components(frame: bytearray) -> None:
    frame[9] = 2


ODD = {
    "CMYK": encode(IMAGE.convert("CMYK"), "JPEG"),
    "12 bits": with_frame(twelve_bits),
    "two components": with_frame(two_components),
    "fill bytes": b"".join([BASELINE[0], b"\xff", *BASELINE[1:]]),
    "junk between": b"".join([*BASELINE[:2], b"\x01\x02", *BASELINE[2:]]),
    "a marker alone": b"".join([BASELINE[0], b"\xff\x01", *BASELINE[1:]]),
    "a stuffed byte alone": b"".join([BASELINE[0], b"\xff\0", *BASELINE[1:]]),
    "a restart alone": b"".join([BASELINE[0], b"\xff\xd0", *BASELINE[1:]]),
    "a second start": b"".join([BASELINE[0], b"\xff\xd8", *BASELINE[1:]]),
    "an unusual segment": jpeg_with(segment(0xDC, b"\0\x05")),
    "reserved segment": jpeg_with(segment(0xF0, b"")),
    "arithmetic coding": jpeg_with(frame=0xC9),
    "lossless coding": jpeg_with(frame=0xC3),
    "two frames": b"".join(
        [*BASELINE[:-2], next(p for p in BASELINE if p[1] == 0xC0), *BASELINE[-2:]]
    ),
    "a scan is missing": b"".join(segments(jpeg())[:-2]) + b"\xff\xd9",
    "no scan of the means": b"".join(
        part
        for part in segments(encode(GREY, "JPEG", progressive=True))
        if part[1] != 0xDA or part[5 + 2 * part[4]]
    ),
    "a scan less accurate than the one before": once_more(0, 63, 1),
    "no scan": b"".join(part for part in BASELINE if part[1] != 0xDA),
    "palette": encode(IMAGE.quantize(9), "PNG"),
    "alpha": png(np.dstack([RGB, RGB[..., :1]]), 6),
    "16 bits": png(RGB.astype(np.uint16) * 257, 2, 16),
    "4 bits": png(RGB[..., 0] >> 4, 0, 4),
    "transparent colour": png_of(ihdr(8, 8), PICTURE, before=chunk(b"tRNS", bytes(6))),
    "unknown chunk": png_of(ihdr(8, 8), PICTURE, before=chunk(b"prVt")),
    "a second header": png_of(ihdr(8, 8), PICTURE, before=ihdr(8, 8)),
    "data for one more": png_of(ihdr(8, 8), zlib.compress(bytes(8 * 25 + 1))),
    "data larger than its window": in_window(18, 27),
    "an end with content": png_of(ihdr(8, 8), PICTURE)[:-12] + chunk(b"IEND", b"x"),
    "something behind the stream": png_of(ihdr(8, 8), PICTURE + b"x"),
    "a chunk behind the stream": in_two(PICTURE + b"x", at=len(PICTURE)),
    "data behind an empty rest": in_two(PICTURE + b"x", chunk(b"IDAT")),
    "GIF": encode(GREY, "GIF"),
    "BMP": encode(IMAGE, "BMP"),
    "WEBP": encode(IMAGE, "WEBP"),
}


FRAME = next(number for number, part in enumerate(BASELINE) if part[1] == 0xC0)


@pytest.mark.parametrize(
    "junk", [b"\xff", b"\1\2", b"\xff\0", b"\xff\1", segment(0xFE, b"\xff") + b"\2"]
)
def test_junk_hides_no_frame_and_no_end(junk):
    data = b"".join([*BASELINE[:FRAME], junk, *BASELINE[FRAME:]])
    assert found(data) == (27, 21, None, False)
    assert found(data[:-2])[:3] == (27, 21, "truncated")


def test_a_jpeg_without_a_frame_has_no_size():
    assert found(b"\xff\xd8\xff\xd9") == (0, 0, None, False)


def ordinary(data: bytes) -> bool:
    said = found(data)
    assert said.problem is None
    if identify(data) == "PNG":
        said = inflated(data, said)
        assert said.problem is None
    return said.ordinary


@pytest.mark.parametrize("name", ORDINARY)
def test_what_every_encoder_writes_is_ordinary(name):
    assert ordinary(ORDINARY[name]) is True


@pytest.mark.parametrize("name", ODD)
def test_what_decoders_may_treat_differently_is_not(name):
    assert ordinary(ODD[name]) is False


def test_data_behind_another_chunk_is_neither_read_nor_ordinary():
    data = in_two(PICTURE, chunk(b"tEXt", b"a\0b"))
    said = found(data)
    assert said == (8, 8, None, False)
    assert inflated(data, said).problem == "truncated"


@pytest.mark.parametrize("data", [zlib.compress(bytes(8 * 25 - 1)), PICTURE[:-4]])
def test_data_without_its_last_byte_or_its_end_is_truncated(data):
    assert inflated(png_of(ihdr(8, 8), data), Structure(8, 8)).problem == "truncated"


def test_a_png_without_data_is_not_ordinary():
    assert found(png_of(ihdr(8, 8), b"")[:33] + chunk(b"IEND")) == (8, 8, None, False)


def test_data_that_is_not_compressed_is_damaged():
    assert inflated(png_of(ihdr(8, 8), b"not deflated"), Structure(8, 8)).problem == "damaged"


def test_of_a_colour_type_that_there_is_not_no_data_is_missed():
    data = png_of(ihdr(8, 8, 8, 5), zlib.compress(bytes(8)))
    assert inflated(data, found(data)).problem is None


def test_data_is_unpacked_block_by_block(monkeypatch):
    monkeypatch.setattr(walks, "_BLOCK", 10)
    assert ordinary(png_of(ihdr(8, 8), PICTURE)) is True
