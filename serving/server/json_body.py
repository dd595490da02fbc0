"""JSON bodies of requests: parsed within limits, described when they are not what was expected."""

import base64
import binascii
import contextlib
import gc
import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from serving.inference.errors import InvalidRequest, TooLarge

MOST_DEPTH = 64
MOST_VALUES = 1_000_000
"""Where the model does not say how many it takes. In memory an empty list is twenty times its text;
millions of them take seconds in which nothing else runs."""
_LARGE = 2**20
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxdict = 10
_SHORT.maxstring = _SHORT.maxother = 100


def parse(text: bytes, most: int = MOST_VALUES) -> dict:
    """The JSON object in `text`. Raises InvalidRequest for anything else, or nesting too deep,
    TooLarge for more than `most` values."""
    if text.count(b",") > most:  # those within strings count, too: few have any
        raise TooLarge(f"the body has more than {most} values, lists and objects.")
    if too_deep(text):
        raise InvalidRequest(f"the body is nested more than {MOST_DEPTH} deep.")
    try:
        with _no_collection() if len(text) > _LARGE else contextlib.nullcontext():
            body = orjson.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"JSON Parse error: the body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise InvalidRequest(f"the body is {kind(body)}, expected an object.")
    return body


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """While millions of lists are made, Python would look through them for circles time and again,
    which there cannot be: that took two thirds of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def short(value: Any) -> str:
    """A value of JSON for a message, however large it is."""
    return _SHORT.repr(value)[:100]


def too_deep(text: bytes) -> bool:
    """Whether brackets are nested beyond the limit. Those within strings count: no string of a
    sensible request has as many."""
    if text.count(b"[") + text.count(b"{") <= MOST_DEPTH:
        return False
    codes = np.frombuffer(text, np.uint8) | 32  # "[" becomes "{", "]" becomes "}"
    steps = (codes == ord("{")).view(np.int8) - (codes == ord("}")).view(np.int8)
    return int(np.cumsum(steps, dtype=np.int32).max()) > MOST_DEPTH


def base64_bytes(name: str, text: str) -> bytes:
    """What `text` encodes; padding may be left out. Raises InvalidRequest."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{name} is not base64: {error}.") from error


def kind(value: Any) -> str:
    """What a value of JSON is, for a message."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
