"""Answers of the Open Inference Protocol v2 and its binary tensors: arrays to bytes.

What is asked for, and the specifications: `oip`.
"""

import itertools
import struct
import weakref
from typing import Any

import numpy as np
import orjson

from serving.inference.model import Model
from serving.server.classification import strings
from serving.server.descriptions import tensor
from serving.server.oip import Inference

_ANSWERS: "weakref.WeakKeyDictionary[Model, dict[int, bytes]]" = weakref.WeakKeyDictionary()
"""The JSON in front of binary probabilities, by the number of images."""


def answer(model: Model, request: Inference, probabilities: np.ndarray) -> tuple[bytes, int | None]:
    """The body of the response, and how many bytes of it are JSON if others follow."""
    if not request.binary or request.classes or request.identifier is not None:
        return _answer(model, request, probabilities)
    heads = _ANSWERS.setdefault(model, {})
    head = heads.get(len(probabilities))
    if head is None:
        text, size = _answer(model, request, probabilities)
        head = heads[len(probabilities)] = text[:size]
    return head + _bytes(probabilities), len(head)


def _answer(
    model: Model, request: Inference, probabilities: np.ndarray
) -> tuple[bytes, int | None]:
    tail = b""
    if request.classes:
        rows = strings(model, probabilities, request.classes)
        output = tensor(model.output_name, "BYTES", (len(rows), len(rows[0])))
        data: Any = list(itertools.chain.from_iterable(rows))
        if request.binary:
            tail = byte_strings(data)
    else:
        output = tensor(model.output_name, "FP32", probabilities.shape)
        data = np.ascontiguousarray(probabilities).reshape(-1)
        if request.binary:
            tail = _bytes(probabilities)
    if request.binary:
        output["parameters"] = {"binary_data_size": len(tail)}
    else:
        output["data"] = data
    response: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request.identifier is not None:
        response["id"] = request.identifier
    response["outputs"] = [output]
    # A number that is none (NaN) becomes null: JSON has no other word for it.
    text = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    return (text + tail, len(text)) if request.binary else (text, None)


def _bytes(probabilities: np.ndarray) -> bytes:
    return probabilities.astype("<f4", copy=False).tobytes()


def byte_strings(texts: list[str]) -> bytes:
    """BYTES elements: each behind its length, 4 bytes, little endian."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
