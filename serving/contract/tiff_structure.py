"""What a TIFF's first directory says: size, and whether it is a picture of the few ordinary kinds.

TIFF can hold anything: pages, tiles, camera data behind a thumbnail, dozens of codings. Read is an
image in strips, uncompressed or by LZW, Deflate or PackBits (TIFF 6.0, Adobe 1992, and Adobe's
Photoshop TIFF notes of 2002); of several pages the first. Only the bytes are walked.
"""

import struct

MAX_TAGS = 256
"""Entries of a directory; cameras write some 60."""
MAX_STRIPS = 65_535
"""At most one for each row."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SHORT, _LONG = 3, 4
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS and interoperability, which Pillow reads, too
(_KIND, _WIDTH, _HEIGHT, _BITS, _CODING, _COLOUR, _STRIPS, _SAMPLES, _LENGTHS, _PLANES, _FORMAT) = (
    *(254, 256, 257, 258, 259, 262, 273, 277, 279, 284, 339),
)
_PREDICTOR, _FILL, _ROWS, _TILES, _RAW = 317, 266, 278, 324, 50706
_SINGLE = (_WIDTH, _HEIGHT, _ROWS, _CODING, _COLOUR, _SAMPLES, _PLANES, _PREDICTOR, _FILL, _KIND)
_CODINGS = (1, 5, 8, 32773, 32946)
_ORDINARY = {
    *((colour, bits) for colour in (0, 1) for bits in ((1,), (8,))),
    *((1, (16,)), (1, (8, 8)), (3, (8,))),
    *((2, (8, 8, 8)), (2, (8, 8, 8, 8)), (2, (16, 16, 16))),
}
"""(photometric interpretation, bits of each sample): grey, grey with alpha, palette, RGB, RGBA."""

Tags = dict[int, tuple[int, ...]]


class _Problem(Exception):
    """Its text is the reason not to decode the file."""


def tiff(data: bytes) -> tuple[int, int, str | None]:
    """(width, height, reason not to decode it or None)."""
    width = height = 0
    try:
        order = "<" if data[:1] == b"I" else ">"
        tags = _directory(data, order, *struct.unpack_from(f"{order}I", data, 4))
        width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
        for tag in _DIRECTORIES:
            if tag in tags:
                inner = _directory(data, order, _one(tags, tag, 0))
                if any(tag in inner for tag in _DIRECTORIES[:2]):
                    raise _Problem("damaged")  # no directory of this kind is inside another
        _check(tags, data)
    except struct.error:
        return width, height, "truncated"
    except _Problem as problem:
        return width, height, str(problem)
    return width, height, None


def _directory(data: bytes, order: str, offset: int) -> Tags:
    """The whole numbers of a directory, and its other tags without values; all its values together
    are no longer than the file, so that reading them costs no more than reading it."""
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    if count > MAX_TAGS:
        raise _Problem("too_many_parts")
    tags: Tags = {}
    total = 0
    for entry in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, number, place = struct.unpack_from(f"{order}HHII", data, entry)
        size = number * _SIZES.get(kind, 0)
        place = place if size > 4 else entry + 8
        total += size
        if place + size > len(data):
            raise _Problem("truncated")
        if total > len(data):
            raise _Problem("damaged")
        tags[tag] = ()
        if kind in (_SHORT, _LONG) and number <= MAX_STRIPS:
            form = f"{order}{number}{'H' if kind == _SHORT else 'I'}"
            tags[tag] = struct.unpack_from(form, data, place)
    return tags


def _one(tags: Tags, tag: int, default: int) -> int:
    return (tags.get(tag) or (default,))[0]


def _check(tags: Tags, data: bytes) -> None:
    """Raises _Problem for what is not one of the kinds that are read."""
    if any(len(tags.get(tag, (1,))) != 1 for tag in _SINGLE):
        raise _Problem("damaged")
    if not _one(tags, _WIDTH, 0) or not _one(tags, _HEIGHT, 0):
        raise _Problem("no_pixels")
    samples = _one(tags, _SAMPLES, 1)
    bits = tags.get(_BITS, (1,) * min(samples, 8))
    ordinary = (
        (_one(tags, _COLOUR, -1), bits) in _ORDINARY
        and len(bits) == samples
        and _one(tags, _CODING, 1) in _CODINGS
        and _one(tags, _PLANES, 1) == _one(tags, _FILL, 1) == 1
        and set(tags.get(_FORMAT, ())) <= {1}
        and _one(tags, _PREDICTOR, 1) in (1, 2)
    )
    # The first picture of a camera's raw file is a thumbnail.
    if not ordinary or _one(tags, _KIND, 0) & 1 or _TILES in tags or _RAW in tags:
        raise _Problem("unsupported_tiff")
    _check_strips(tags, data, sum(bits))


def _check_strips(tags: Tags, data: bytes, bits: int) -> None:
    """Raises _Problem unless there are all strips, inside the file, and whole where nothing is
    compressed: Pillow leaves black what is missing. `bits` are those of a pixel."""
    offsets, lengths = tags.get(_STRIPS, ()), tags.get(_LENGTHS, ())
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    rows = max(1, min(_one(tags, _ROWS, height), height))
    strips = (height + rows - 1) // rows
    if not offsets or not len(offsets) == len(lengths) == strips:
        raise _Problem("damaged")
    if any(offset + length > len(data) for offset, length in zip(offsets, lengths)):
        raise _Problem("truncated")
    if _one(tags, _CODING, 1) == 1:
        line = (width * bits + 7) // 8
        last = height - rows * (strips - 1)
        if min(lengths) < line * last or any(length < line * rows for length in lengths[:-1]):
            raise _Problem("truncated")
