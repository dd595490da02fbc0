"""What a file's own structure says before a decoder sees it: size, end, oddities.

Only the bytes are walked; nothing is unpacked, but by `inflated`. The walks follow ITU-T T.81
(JPEG), the PNG specification, GIF89a, Microsoft's BMP headers and the WebP container specification.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from serving.contract.tiff_structure import tiff

MAX_SCANS = 100
"""Passes over a progressive JPEG: encoders write about 10, and each one costs time."""
MAX_PARTS = 100_000
"""Segments, chunks or blocks: a GIF of 20 MiB has 82,000, and decoders pay for each one."""
MAX_LEADING_BLOCKS = 4_000
"""Blocks of a GIF before its picture, 1 MB at most: Pillow's time grows with their square."""
MAX_COMPRESSED_TEXTS = 16
"""Compressed texts and profiles of a PNG: Pillow unpacks up to 1 MiB of each."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_GIF_BLOCK = re.compile(rb"[!,;]")
_SOS, _EOI = 0xDA, 0xD9
_ORDINARY_FRAMES = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_TABLES = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_ALL_BITS = 2**64 - 1
_CHUNK = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
# Bit depth, colour type (grey or RGB), compression, filter, interlacing.
_ORDINARY_HEADERS = [bytes((8, colour, 0, 0, lace)) for colour in (0, 2) for lace in (0, 1)]
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7: tuple[tuple[int, int, int, int], ...] = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
_BLOCK = 2**20
# Of Windows' headers; Pillow does not read the rare ones: JPEG and PNG inside, masks with alpha,
# CMYK, 2 bits of handheld devices, 64 of GDI+.
_BMP_BITS, _RARE_BITS = (0, 1, 2, 4, 8, 16, 24, 32, 64), (0, 2, 64)
_BMP_CODINGS, _RARE_CODINGS = (*range(7), 11, 12, 13), (4, 5, 6, 11, 12, 13)
_COMPRESSED_TEXTS = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_HARMLESS = _COMPRESSED_TEXTS | {
    *(b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"tEXt", b"tIME", b"bKGD", b"eXIf")
}


class Structure(NamedTuple):
    """`problem` is a reason not to decode the file, None where there is none; `width` and `height`
    in pixels, 0 where the header does not say. `ordinary`: an 8-bit grey or RGB JPEG or PNG
    without anything that decoders are known to treat differently.
    """

    width: int
    height: int
    problem: str | None = None
    ordinary: bool = False


def structure(data: bytes, format: str) -> Structure:
    """Walks a file of which `magic.identify` says that it is of this `format`; never raises."""
    return _WALKS[format](data)


def _jpeg(data: bytes) -> Structure:
    position, scans, parts, frames, ordinary = 2, 0, 0, 0, True
    width = height = components = 0
    known: dict[int, int] = {}
    try:
        while True:
            marker = data[position + 1]
            parts += 1
            if data[position] != 0xFF or marker in (0x00, 0xFF):
                ordinary = False  # fill bytes or junk between segments
                position = _next_marker(data, position + 1)
                continue
            if marker == _EOI:
                break
            if parts > MAX_PARTS:
                return Structure(width, height, "too_many_parts")
            if marker == 0x01 or 0xD0 <= marker <= 0xD8:
                ordinary = False  # markers without a segment that have no business here
                position += 2
                continue
            end = position + 2 + (data[position + 2] << 8 | data[position + 3])
            if marker == _SOS:
                scans += 1
                _note_scan(data, position, known)
                end = _next_marker(data, end)
            elif marker in _ORDINARY_FRAMES or marker in _OTHER_FRAMES:
                frames += 1
                bits, high, low, left, right, components = data[position + 4 : position + 10]
                height, width = max(height, high << 8 | low), max(width, left << 8 | right)
                ordinary &= marker in _ORDINARY_FRAMES and bits == 8 and components in (1, 3)
            elif marker not in _TABLES:
                ordinary = False
            if scans > MAX_SCANS:
                return Structure(width, height, "too_many_scans")
            position = end
    except (IndexError, ValueError):
        return Structure(width, height, "truncated")
    whole = len(known) == components and set(known.values()) == {_ALL_BITS}
    return Structure(width, height, None, ordinary and frames == 1 and whole)


def _note_scan(data: bytes, position: int, known: dict[int, int]) -> None:
    """Marks the coefficients, one bit each of 64, that a scan gives in full, per component.

    Where some are never given in full, decoders smooth the blocks, each version in its own way.
    """
    header = position + 5 + 2 * data[position + 4]
    first, last, accuracy = data[header], data[header + 1], data[header + 2] & 15
    bits = (2 << last) - (1 << first) if first <= last else 0
    for component in data[position + 5 : header : 2]:
        before = known.get(component, 0)
        known[component] = before & ~bits if accuracy else before | bits


def _next_marker(data: bytes, position: int) -> int:
    found = _JPEG_MARKER.search(data, position)
    return found.start() if found else len(data)


def _png(data: bytes) -> Structure:
    position, parts, texts, picture, view = 8, 0, 0, "before", memoryview(data)
    ordinary = data[8:16] == b"\0\0\0\x0dIHDR" and data[24:29] in _ORDINARY_HEADERS
    width = height = 0
    problem = None
    try:
        width, height = struct.unpack_from(">II", data, 16)
        while True:
            length, name = _CHUNK.unpack_from(data, position)
            end = position + 8 + length
            (checksum,) = _CHECKSUM.unpack_from(data, end)
            if zlib.crc32(view[position + 4 : end]) != checksum:
                problem = "damaged"
            parts += 1
            if name == b"IEND":
                break
            if name == b"IDAT":
                ordinary &= picture != "after"
                picture = "in"
            else:
                picture = "after" if picture != "before" else picture
                ordinary &= parts == 1 or name in _HARMLESS
                texts += name in _COMPRESSED_TEXTS
            if parts > MAX_PARTS or texts > MAX_COMPRESSED_TEXTS:
                return Structure(width, height, "too_many_parts")
            position = end + 4
    except struct.error:
        return Structure(width, height, "truncated")
    return Structure(width, height, problem, ordinary and picture != "before" and not length)


def inflated(data: bytes, found: Structure) -> Structure:
    """`found` of a PNG, corrected by what its compressed data holds.

    Pillow leaves rows black that the data does not reach, and passes over an end of the data that
    is missing or wrong; TensorFlow refuses it.
    """
    channels, depth = _CHANNELS.get(data[25], 0), data[24]
    expected = sum(
        height * ((width * channels * depth + 7) // 8 + 1)
        for width, height in _png_passes(found.width, found.height, data[28])
    )
    stream, missing, window = zlib.decompressobj(), expected, 0
    piece: bytes | memoryview
    rest: bytes | memoryview = b""
    try:
        for piece in _png_data(data):
            window = window or len(piece) and 256 << (piece[0] >> 4)
            while piece and not stream.eof and missing >= 0:
                missing -= len(stream.decompress(piece, _BLOCK))
                piece = stream.unconsumed_tail
            rest = rest or piece or stream.unused_data
    except zlib.error:
        return found._replace(problem="damaged")
    if missing > 0 or not (missing or stream.eof):
        return found._replace(problem="truncated")
    # Some encoders announce a smaller window than they use: TensorFlow holds them to their word.
    exact = missing == 0 and not rest and window >= min(expected, 2**zlib.MAX_WBITS)
    return found._replace(ordinary=found.ordinary and exact)


def _png_passes(width: int, height: int, interlaced: int) -> list[tuple[int, int]]:
    """(width, height) of the pictures whose rows follow each other: 1, or 7 where interlaced."""
    if not interlaced:
        return [(width, height)]
    sizes = [((width - x + dx - 1) // dx, (height - y + dy - 1) // dy) for x, y, dx, dy in _ADAM7]
    return [size for size in sizes if min(size) > 0]


def _png_data(data: bytes) -> Iterator[memoryview]:
    """The data of the first run of IDAT chunks: decoders stop at the next other chunk."""
    position, name, view = 8, b"", memoryview(data)
    while name != b"IEND":
        before = name
        length, name = _CHUNK.unpack_from(data, position)
        if name == b"IDAT":
            yield view[position + 8 : position + 8 + length]
        elif before == b"IDAT":
            return
        position += length + 12


def _gif(data: bytes) -> Structure:
    parts, size, frame, leading = 0, (0, 0), (1, 1), True
    try:
        size = struct.unpack_from("<HH", data, 6)
        position = 13 + _colour_table(data[10])
        while (found := _GIF_BLOCK.search(data, position)) and found[0] != b";":
            position = found.start() + 2  # over the extension's label
            if found[0] == b",":
                left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position - 1)
                if leading:  # Pillow enlarges the canvas to what the first one covers
                    size = max(size[0], left + width), max(size[1], top + height)
                    frame = width, height
                leading = False
                position += 9 + _colour_table(flags)
            while length := data[position]:
                position += length + 1
                parts += 1
                if parts > MAX_PARTS or parts > MAX_LEADING_BLOCKS and leading:
                    return Structure(*size, "too_many_parts")
            position += 1
    except (IndexError, struct.error):
        return Structure(*size, "truncated")
    problem = None if found else "truncated"
    return Structure(*size, problem if all(frame) and all(size) else "no_pixels")


def _colour_table(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _bmp(data: bytes) -> Structure:
    try:
        offset, header = struct.unpack_from("<II", data, 10)
        if header == 12:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            compression = stored = 0
        else:
            form = "<iiHHII"
            width, height, _, bits, compression, stored = struct.unpack_from(form, data, 18)
    except struct.error:
        return Structure(0, 0, "truncated")
    width, height = abs(width), abs(height)
    if not width or not height:
        return Structure(width, height, "no_pixels")
    if bits not in _BMP_BITS or compression not in _BMP_CODINGS:
        return Structure(width, height, "damaged")
    if compression in _RARE_CODINGS or bits in _RARE_BITS:
        return Structure(width, height, "unsupported_bmp")
    if compression in (0, 3):
        stored = (width * bits + 31) // 32 * 4 * height
    return Structure(width, height, "truncated" if len(data) < offset + stored else None)


def _webp(data: bytes) -> Structure:
    width = height = 0
    try:
        if data[12:16] == b"VP8X":
            low, lower, middle, upper = struct.unpack_from("<HBHB", data, 24)
            width, height = (lower << 16 | low) + 1, (upper << 16 | middle) + 1
        elif data[12:16] == b"VP8L":
            (packed,) = struct.unpack_from("<I", data, 21)
            width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        elif data[12:16] == b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    except struct.error:
        return Structure(0, 0, "truncated")
    end = 8 + int.from_bytes(data[4:8], "little")
    return Structure(width, height, "truncated" if len(data) < end else None)


_WALKS: dict[str, Callable[[bytes], Structure]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WEBP": _webp,
    "TIFF": lambda data: Structure(*tiff(data)),
}
