"""JSON bodies of requests: parsed within limits, described when they are not what was expected."""

import base64
import binascii
from typing import Any

import numpy as np
import orjson

from serving.inference.errors import InvalidRequest

MOST_DEPTH = 64


def parse(text: bytes) -> dict:
    """The JSON object in `text`. Raises InvalidRequest for anything else, or nesting too deep."""
    if too_deep(text):
        raise InvalidRequest(f"the body is nested more than {MOST_DEPTH} deep.")
    try:
        body = orjson.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"JSON Parse error: the body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise InvalidRequest(f"the body is {kind(body)}, expected an object.")
    return body


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
