"""Image files made by hand, byte by byte: what encoders do not write, but attackers do."""

import struct
import zlib

import numpy as np

from tests.helpers.images import encode, tile

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
END_OF_JPEG = b"\xff\xd9"


def checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def chunk(name: bytes, payload: bytes = b"") -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(payload)) + name + payload + checksum(name + payload)


def png(pixels: np.ndarray, colour: int, depth: int = 8, interlaced: bool = False, **rest) -> bytes:
    """A PNG of `pixels` (H, W) or (H, W, C), uint8 or, for a depth of 16, uint16."""
    height, width = pixels.shape[:2]
    pixels = pixels.reshape(height, width, -1)
    passes = [pixels]
    if interlaced:
        passes = [pixels[top::down, left::right] for left, top, right, down in _ADAM7]
        passes.append(pixels[1::2])
    rows = [row for part in passes if part.size for row in part]
    raw = b"".join(b"\0" + _packed(row, depth) for row in rows)
    header = ihdr(width, height, depth, colour, interlaced)
    return png_of(header, zlib.compress(raw), **rest)


def ihdr(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def png_of(header: bytes, data: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG of a header chunk, compressed data and other chunks around it."""
    start = b"\x89PNG\r\n\x1a\n" + header + before
    return start + chunk(b"IDAT", data) + after + chunk(b"IEND")


def _packed(row: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, -depth:]
    return np.packbits(bits.ravel()).tobytes()


def segment(marker: int, payload: bytes) -> bytes:
    """A JPEG segment."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def segments(data: bytes) -> list[bytes]:
    """A JPEG's segments, scans with the data that follows them; the last part is all the rest."""
    parts, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xD9:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xDA:
            while end < len(data) and not _is_marker(data, end):
                end += 1
        parts.append(data[position:end])
        position = end
    return [*parts, data[position:]]


def _is_marker(data: bytes, place: int) -> bool:
    following = data[place + 1 : place + 2]
    return data[place] == 0xFF and following > b"\0" and following[0] & 0xF8 != 0xD0


def jpeg_with(before_frame: bytes = b"", size: tuple[int, int] | None = None, frame=None, **save):
    """A small JPEG with other segments before its frame header, another size or marker in it."""
    parts = segments(encode(tile(0, 5, 5), "JPEG", **save))
    for number, part in enumerate(parts):
        if part[1] in (0xC0, 0xC2):
            marker = bytes((0xFF, frame or part[1]))
            height_width = part[5:9] if size is None else struct.pack(">HH", size[1], size[0])
            parts[number] = before_frame + marker + part[2:5] + height_width + part[9:]
    return b"".join(parts)


def gif(canvas, frame, data: bytes | None = None, extension: bytes = b"", code_size=2) -> bytes:
    """A GIF of four greys: `canvas` (width, height), `frame` (left, top, width, height)."""
    palette = bytes(value for grey in (0, 80, 160, 240) for value in (grey,) * 3)
    start = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x81, 0, 0) + palette + extension
    if data is None:  # clear, some pixels with codes of 3 bits, end
        data = bytes((0x8C, 0x2D, 0x99, 0x87, 0x2A, 0x1C, 0xDC, 0x33, 0xA0, 0x02, 0x75, 0xEC, 0x95))
        data += bytes((0xFA, 0xA8, 0xDE, 0x60, 0x8C, 0x04, 0x91, 0x4C, 0x01))
    blocks = bytes((code_size, len(data))) + data + b"\0"
    return start + b"," + struct.pack("<HHHHB", *frame, 0) + blocks + b";"


def bmp(width: int, height: int, bits: int, data: bytes, compression: int = 0, head=b"") -> bytes:
    """A BMP with the 40-byte header; `head` is what lies between it and the data."""
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), *[0] * 4
    )
    offset = 14 + len(header) + len(head)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + header + head + data


def webp(kind: bytes, payload: bytes) -> bytes:
    """A WEBP of one chunk."""
    body = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body
