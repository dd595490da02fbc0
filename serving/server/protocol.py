"""Open Inference Protocol v2, JSON bodies: text to arrays and back. No transport here.

Specification: github.com/kserve/open-inference-protocol, inference_rest.md.
"""

import itertools
import json
import math
from typing import Any

import numpy as np

from serving.inference.errors import InvalidRequest
from serving.inference.model import Model


def body_limit(model: Model) -> int:
    """Bytes that any sensible JSON of a full batch fits in.

    Eight per value are `[255], ` of a nested one-channel image and one more; the rest is for names.
    """
    return model.max_batch * math.prod(model.spec.shape) * 8 + 64 * 1024


def metadata(model: Model) -> dict:
    """The model metadata response; -1 stands for the batch."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": model.platform,
        "inputs": [_describe(model.input_name, "UINT8", model.input_shape)],
        "outputs": [_describe(model.output_name, "FP32", model.output_shape)],
    }


def answer(model: Model, body: bytes) -> bytes:
    """The inference response for the inference request in `body`, both JSON.

    Raises InvalidRequest or TooLarge; ServingError subclasses own their HTTP status.
    """
    request = _parse(body)
    images = _input(model, request)
    _check_outputs(model, request)
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise InvalidRequest(f"id is {_kind(identifier)}, expected a string.")
    return encode_response(model, model.infer(images), identifier)


def encode_response(model: Model, probabilities: np.ndarray, identifier: str | None) -> bytes:
    """JSON of the inference response, data flat in row-major order."""
    output = _describe(model.output_name, "FP32", probabilities.shape)
    response = {
        "model_name": model.name,
        "model_version": model.version,
        **({} if identifier is None else {"id": identifier}),
        "outputs": [{**output, "data": probabilities.ravel().tolist()}],
    }
    return json.dumps(response, allow_nan=False, separators=(",", ":")).encode()


def _describe(name: str, datatype: str, shape: tuple[int, ...]) -> dict:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _parse(body: bytes) -> dict:
    try:
        request = json.loads(body)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply to be an inference request.") from None
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}.") from error
    if not isinstance(request, dict):
        raise InvalidRequest(f"the body is {_kind(request)}, expected an object.")
    return request


def _input(model: Model, request: dict) -> np.ndarray:
    """The one input as uint8 (N, H, W, C)."""
    tensor = _named(request, "inputs", model.input_name)
    if tensor is None:
        raise InvalidRequest(f"inputs is missing, expected one tensor named {model.input_name!r}.")
    if tensor.get("datatype") != "UINT8":
        raise InvalidRequest(
            f"{model.input_name} has datatype {tensor.get('datatype')!r}, expected 'UINT8'."
        )
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidRequest(f"{model.input_name} needs a shape: a list of whole numbers.")
    model.check_shape(tuple(shape))
    data = tensor.get("data")
    if not isinstance(data, list):
        raise InvalidRequest(
            f"{model.input_name} needs data: a list, flat in row-major order or nested as shape"
            " (the binary data extension is not offered)."
        )
    return np.frombuffer(_bytes(model.input_name, data, shape), np.uint8).reshape(shape)


def _bytes(name: str, data: list, shape: list[int]) -> bytes:
    values = _flat(name, data, shape)
    if len(values) != math.prod(shape):
        raise InvalidRequest(
            f"{name} has {len(values)} values, its shape {shape} needs {math.prod(shape)}."
        )
    wrong = set(map(type, values)) - {int}  # bytes() would take true for 1
    if wrong:
        kinds = ", ".join(sorted(kind.__name__ for kind in wrong))
        raise InvalidRequest(f"{name} holds {kinds}, expected whole numbers from 0 to 255.")
    try:
        return bytes(values)
    except ValueError:
        low, high = min(values), max(values)
        value = low if low < 0 else high
        raise InvalidRequest(
            f"{name} holds {str(value)[:20]}, expected whole numbers from 0 to 255."
        ) from None


def _flat(name: str, data: list, shape: list[int]) -> list:
    """Flat data as it is; nested data must follow `shape` at every level."""
    if not data or not isinstance(data[0], list):
        return data
    level: list[Any] = [data]
    for size in shape:
        if not all(isinstance(entry, list) and len(entry) == size for entry in level):
            raise InvalidRequest(f"{name} is nested unlike its shape {shape}: flat data will do.")
        level = list(itertools.chain.from_iterable(level))
    return level


def _check_outputs(model: Model, request: dict) -> None:
    if request.get("outputs"):
        _named(request, "outputs", model.output_name)


def _named(request: dict, key: str, expected: str) -> dict | None:
    """The only tensor of `request[key]`, which must be named `expected`; None if there is none."""
    tensors = request.get(key)
    if tensors is None or tensors == []:
        return None
    if not isinstance(tensors, list) or not all(isinstance(entry, dict) for entry in tensors):
        raise InvalidRequest(f"{key} is not a list of objects, expected [{{'name': ...}}].")
    names = [entry.get("name") for entry in tensors]
    if names != [expected]:
        raise InvalidRequest(f"{key} names {str(names)[:100]}, expected [{expected!r}].")
    return tensors[0]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
