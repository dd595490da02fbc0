"""Seeded mutations of small real image files, for tests that two decoders agree on them.

Broken bytes, but also well-formed files of unusual content: checksums are repaired, so that what
is behind them is reached.
"""

import functools
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.helpers.crafted import checksum, chunk, png, segments
from tests.helpers.images import encode, tile

HEIGHT, WIDTH = 21, 27
_ANCILLARY = (
    *(b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"tEXt", b"tIME", b"bKGD", b"iCCP", b"zTXt"),
    *(b"iTXt", b"eXIf", b"tRNS", b"PLTE", b"hIST", b"sPLT", b"cICP", b"IDOT", b"acTL", b"fcTL"),
    *(b"ABCD", b"abCd", b"IHDR", b"IEND", b"IDAT"),
)


@functools.cache
def originals() -> tuple[bytes, ...]:
    """Small real files of every kind that keeps its bytes, and some of those that do not."""
    image = tile(0, 6, 7, HEIGHT, WIDTH)
    flower = tile(1, 9, 9, HEIGHT, WIDTH)
    grey = image.convert("L")
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a temple", 1
    rgb = np.asarray(flower)
    profile = b"icc\0\0" + zlib.compress(bytes(128))
    return (
        *(encode(image, "JPEG", quality=85, subsampling=s) for s in (0, 1, 2)),
        encode(flower, "JPEG", quality=92, progressive=True),
        encode(flower, "JPEG", quality=50, progressive=True, subsampling=0, optimize=True),
        encode(grey, "JPEG", quality=75),
        encode(grey, "JPEG", quality=95, progressive=True),
        encode(image, "JPEG", restart_marker_blocks=1, exif=exif),
        encode(image, "JPEG", keep_rgb=True),
        encode(flower, "JPEG", comment=b"a flower", icc_profile=bytes(200)),
        encode(image.convert("CMYK"), "JPEG"),
        encode(image, "PNG"),
        encode(grey, "PNG"),
        png(rgb, 2, interlaced=True),
        png(np.asarray(grey), 0, interlaced=True),
        png(rgb, 2, before=chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"iCCP", profile)),
        png(rgb, 2, before=chunk(b"sBIT", b"\5\6\5") + chunk(b"sRGB", b"\0")),
        png(rgb[..., 0] >> 4, 0, depth=4),
        png(rgb.astype(np.uint16) * 257, 2, depth=16),
        png(np.dstack([rgb, rgb[..., :1]]), 6),
        encode(image.quantize(9), "PNG", transparency=bytes(range(9))),
        encode(image.quantize(20), "GIF", transparency=2),
        encode(image, "BMP"),
        encode(image.quantize(20), "BMP"),
        encode(image, "WEBP"),
        encode(image.convert("RGBA"), "WEBP", lossless=True, exif=exif),
    )


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """`count` mutated files; the same for the same seed."""
    files = originals()
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        data = rng.choice(files)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            special = _SPECIAL.get(data[:2], ())
            data = rng.choice(_ANY + special * 2)(data, rng)
        yield data


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 2, 7, 64))) + data[place:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 2, 7, 64)) :]


def _append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((rng.randbytes(30), rng.choice(originals()), bytes(5), b"PK\3\4" * 9))


def _shuffle(parts: list[bytes], rng: random.Random) -> bytes:
    one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    kind = rng.randrange(3)
    if kind == 0:
        parts[one], parts[other] = parts[other], parts[one]
    elif kind == 1:
        parts.insert(other, parts[one])
    else:
        del parts[one]
    return b"".join(parts)


def _shuffle_segments(data: bytes, rng: random.Random) -> bytes:
    return _shuffle(segments(data), rng)


def _frame(data: bytes, rng: random.Random) -> bytes:
    """Another coding, precision, sampling, component or table in the frame header."""
    parts = segments(data)
    for number, part in enumerate(parts):
        if len(part) > 9 and part[1] in (0xC0, 0xC1, 0xC2):
            part = bytearray(part)
            place = rng.choice((1, *range(4, len(part))))
            if place == 1:
                part[1] = rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA))
            elif rng.random() < 0.7 and len(part) > 12:
                component = 10 + 3 * rng.randrange((len(part) - 10) // 3)
                part[component + 1] = rng.choice((0x11, 0x12, 0x21, 0x22, 0x41, 0x14, 0x31, 0x44))
            else:
                part[place] = rng.randrange(256)
            parts[number] = bytes(part)
    return b"".join(parts)


def _marker(data: bytes, rng: random.Random) -> bytes:
    """A segment more, of those that say how colours are meant and how the data is coded."""
    payload = rng.choice(
        (
            b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([rng.randrange(4)]),
            b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
            b"\xff\xdd\0\4\0" + bytes([rng.randrange(9)]),
            b"\xff\xcc\0\4\0\x10",
            b"\xff\xdc\0\4\0" + bytes([rng.randrange(40)]),
            b"\xff" + bytes([rng.randrange(1, 256)]),
            b"\xff\xff",
            b"\xff\xfe\0\5abc",
        )
    )
    parts = segments(data)
    parts.insert(rng.randrange(1, len(parts) + 1), payload)
    return b"".join(parts)


def _cut_scan(data: bytes, rng: random.Random) -> bytes:
    """Scan data that ends early, but with an end marker."""
    return data[: rng.randrange(len(data) // 2, len(data))] + b"\xff\xd9"


def _chunks(data: bytes) -> list[bytes]:
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position:end])
        position = end
    return parts


def _shuffle_chunks(data: bytes, rng: random.Random) -> bytes:
    return _shuffle(_chunks(data), rng)


def _repaired(data: bytes, rng: random.Random) -> bytes:
    """One byte of a chunk changed, with the right checksum."""
    parts = _chunks(data)
    number = rng.randrange(1, max(2, len(parts)))
    if number < len(parts) and len(parts[number]) > 12:
        body = bytearray(parts[number][4:-4])
        body[rng.randrange(len(body))] = rng.randrange(256)
        parts[number] = parts[number][:4] + bytes(body) + checksum(body)
    return b"".join(parts)


def _extra_chunk(data: bytes, rng: random.Random) -> bytes:
    parts = _chunks(data)
    payload = rng.choice(
        (b"", rng.randbytes(rng.choice((1, 2, 4, 6, 9, 32))), b"ab\0\0" + bytes(8))
    )
    parts.insert(rng.randrange(1, len(parts) + 1), chunk(rng.choice(_ANCILLARY), payload))
    return b"".join(parts)


def _data(data: bytes, rng: random.Random) -> bytes:
    """Other compressed data: short, long, filtered oddly, split, or not quite a zlib stream."""
    parts = _chunks(data)
    numbers = [n for n, part in enumerate(parts) if part[4:8] == b"IDAT" and len(part) > 20]
    if not numbers:
        return data
    stream = parts[numbers[0]][8:-4]
    kind = rng.randrange(9)
    try:
        raw = zlib.decompress(stream)
    except zlib.error:
        return data
    if kind == 0:
        stream = zlib.compress(raw[: rng.randrange(len(raw))])
    elif kind == 1:
        stream = zlib.compress(raw + rng.randbytes(rng.choice((1, 40, 3000))))
    elif kind == 2:
        stream = zlib.compress(_flip(raw, rng))
    elif kind == 3:
        stream = stream[: rng.choice((-1, -2, -4, -5, -8))]
    elif kind == 4:
        stream += rng.randbytes(rng.choice((1, 20)))
    elif kind == 5:
        stream = stream[:-4] + rng.randbytes(4)
    elif kind == 6:
        window = zlib.compressobj(rng.randrange(10), wbits=rng.choice((9, 12, 15)))
        stream = window.compress(raw) + window.flush()
    elif kind == 7:
        head = rng.choice((0x08, 0x18, 0x38, 0x58, 0x78)) << 8
        head |= rng.choice((0, 0x20, 0x40))
        stream = struct.pack(">H", head + 31 - head % 31) + stream[2:]
    pieces = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
    bounds = [0, *pieces, len(stream)]
    split = [chunk(b"IDAT", stream[a:b]) for a, b in zip(bounds, bounds[1:])]
    return b"".join(parts[: numbers[0]] + split + parts[numbers[0] + 1 :])


_ANY = (_flip, _truncate, _insert, _delete, _append)
_SPECIAL = {
    b"\xff\xd8": (_shuffle_segments, _frame, _marker, _cut_scan),
    b"\x89P": (_shuffle_chunks, _repaired, _extra_chunk, _data),
}
