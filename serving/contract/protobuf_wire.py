"""The fields of a serialised protocol buffer, read without its schema and without a copy.

Wire format: protobuf.dev/programming-guides/encoding. Standard library only.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}


class Malformed(ValueError):
    """The bytes are no protocol buffer; the message is half a sentence."""


class Field(NamedTuple):
    """`value` is a VARINT's, else 0; the content of any other lies from `start` to `end`."""

    number: int
    kind: int
    value: int
    start: int
    end: int


def fields(data: memoryview, start: int, end: int) -> Iterator[Field]:
    """Those of the message that lies there. Raises Malformed."""
    at = start
    while at < end:
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        value = 0
        if not 0 < number < 2**29:
            raise Malformed(f"a field has number {number}")
        if kind == VARINT:
            value, after = _varint(data, at, end)
        elif kind == BYTES:
            size, at = _varint(data, at, end)
            after = at + size
        elif kind in _SIZES:
            after = at + _SIZES[kind]
        else:  # groups, which nothing has written for many years
            raise Malformed(f"a field is of wire type {kind}")
        if after > end:
            raise Malformed("it is cut off")
        yield Field(number, kind, value, at, after)
        at = after


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """(the number that begins there, where it ends)."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise Malformed("a number has more than ten bytes")
    raise Malformed("it is cut off")
