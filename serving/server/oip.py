"""Requests of the Open Inference Protocol v2 and its binary tensors: bytes to arrays.

Specification: github.com/kserve/open-inference-protocol, inference_rest.md; of the extensions:
github.com/triton-inference-server/server, docs/protocol/extension_{binary_data,classification}.md.
"""

import dataclasses
import itertools
import math
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.inference.errors import InvalidRequest
from serving.inference.model import Model
from serving.server import json_body
from serving.server.classification import MOST_CLASSES
from serving.server.json_body import kind, short

IMAGE_BYTES = "image_bytes"
"""The input that takes encoded images instead of pixels."""
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")


@dataclasses.dataclass(slots=True)
class Inference:
    """A checked inference request: pixels, or `files` with encoded images."""

    images: np.ndarray | None = None
    """uint8 (N, H, W, C)."""
    files: list[bytes] | None = None
    identifier: str | None = None
    binary: bool = False
    """Whether the output follows the JSON as bytes."""
    classes: int = 0
    """How many classes are asked for as text; 0 for all probabilities."""


def parse(model: Model, body: bytes, header: str | None) -> Inference:
    """The request in `body`, whose `header` (Inference-Header-Content-Length) says how much of it
    is JSON. Raises InvalidRequest or TooLarge, before anything is computed."""
    if header is None:
        return _parse(model, body, b"", binary=False)
    digits = header.isascii() and header.isdecimal() and len(header) < 20
    if not digits or int(header) > len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {header[:30]!r}, expected a number up to the"
            f" body's {len(body)} bytes."
        )
    if int(header) == 0:
        return _raw(model, body)
    text, tail = body[: int(header)], body[int(header) :]
    known = _KNOWN.setdefault(model, {})
    if (found := known.get(text)) is not None and len(tail) == math.prod(found.shape):
        pixels = np.frombuffer(tail, np.uint8).reshape(found.shape)
        return Inference(pixels, binary=found.binary, classes=found.classes)
    inference = _parse(model, text, tail, binary=True)
    # Pixels within the JSON say nothing of what may follow it.
    images = inference.images if tail else None
    if images is not None and inference.identifier is None and len(text) <= _SHORT:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[text] = _Known(images.shape, inference.binary, inference.classes)
    return inference


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What JSON in front of pixels has been found to say."""

    shape: tuple[int, ...]
    binary: bool
    classes: int


_KNOWN: "weakref.WeakKeyDictionary[Model, dict[bytes, _Known]]" = weakref.WeakKeyDictionary()
"""Clients send the same JSON in front of other pixels, again and again."""
_MOST_KNOWN = 256
_SHORT = 1024


def most_values(model: Model) -> int:
    """How many values, lists and objects a request may have: those of twice as many images as are
    taken, so that a few too many are counted and named."""
    height, width, channels = model.spec.shape
    each = 1 + height * (1 + width * (1 + channels))
    return 2 * model.max_batch * each + 1000


def _raw(model: Model, body: bytes) -> Inference:
    """The body is the only input of one image: its pixels, or a file, told apart by the size."""
    if len(body) == math.prod(model.spec.shape):
        return Inference(_array(model, body, (1, *model.spec.shape)), binary=True)
    if not body:
        raise InvalidRequest(
            f"the body is empty, expected {math.prod(model.spec.shape)} bytes of one image,"
            " or an encoded one."
        )
    return Inference(files=[body], binary=True)


def _parse(model: Model, text: bytes, tail: bytes, binary: bool) -> Inference:
    request = json_body.parse(text, most_values(model))
    found = _input(model, request, text, tail, binary)
    found.identifier = _identifier(request)
    parameters = _parameters(request, "the request")
    check_parameters(parameters)
    found.binary = _boolean(parameters.get("binary_data_output"), "binary_data_output")
    _outputs(model, request, found)
    return found


def _input(model: Model, request: dict, text: bytes, tail: bytes, binary: bool) -> Inference:
    tensor = _only(request.get("inputs"), model)
    name, shape = tensor["name"], tensor.get("shape")
    expected = "BYTES" if name == IMAGE_BYTES else "UINT8"
    if tensor.get("datatype") != expected:
        raise InvalidRequest(
            f"{name} has datatype {short(tensor.get('datatype'))}, expected {expected!r}."
        )
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidRequest(f"{name} needs a shape: a list of whole numbers.")
    if expected == "UINT8":
        model.check_shape(tuple(shape))
    elif len(shape) not in (1, 2) or shape[0] < 1 or shape[1:] not in ([], [1]):
        raise InvalidRequest(f"{name} has shape {shape[:5]}, expected [-1].")
    size = _parameters(tensor, name).get("binary_data_size")
    data = tensor.get("data")
    if (size is None) == (data is None):
        raise InvalidRequest(
            f"{name} needs either data, a list, or the parameter binary_data_size and its bytes"
            " behind the JSON."
        )
    if size is None:
        if tail:
            raise InvalidRequest(f"{len(tail)} bytes behind the JSON belong to no input.")
        if not isinstance(data, list):
            raise InvalidRequest(
                f"{name} has data that is {kind(data)}, expected a list, flat in row-major order or"
                " nested as shape."
            )
        values = flat(name, data, shape)
        if expected == "BYTES":
            return Inference(files=_texts(name, values, shape))
        return Inference(_array(model, _whole_numbers(name, values, shape, text), shape))
    if not binary:
        raise InvalidRequest(
            f"{name} has binary_data_size, but the request no Inference-Header-Content-Length."
        )
    if type(size) is not int or size != len(tail):
        raise InvalidRequest(f"{name} announces {short(size)} bytes, {len(tail)} follow the JSON.")
    if expected == "BYTES":
        return Inference(files=elements(name, tail, shape[0]))
    return Inference(_array(model, tail, shape))


def _only(tensors: Any, model: Model) -> dict:
    """The one input tensor, with a name that is known."""
    if tensors is None or tensors == []:
        raise InvalidRequest(f"inputs is missing, expected one tensor named {model.input_name!r}.")
    if not isinstance(tensors, list) or not all(isinstance(entry, dict) for entry in tensors):
        raise InvalidRequest("inputs is not a list of objects, expected [{'name': ...}].")
    names = [entry.get("name") for entry in tensors]
    if names not in ([model.input_name], [IMAGE_BYTES]):
        raise InvalidRequest(
            f"inputs names {short(names)}, expected [{model.input_name!r}], or [{IMAGE_BYTES!r}]"
            " for encoded images."
        )
    return tensors[0]


def _outputs(model: Model, request: dict, found: Inference) -> None:
    """What of the output is asked for, and how."""
    outputs = request.get("outputs")
    if outputs is None or outputs == []:
        return  # as the request's parameters say
    if not isinstance(outputs, list) or not all(isinstance(entry, dict) for entry in outputs):
        raise InvalidRequest("outputs is not a list of objects, expected [{'name': ...}].")
    names = [entry.get("name") for entry in outputs]
    if len(names) > 1 and all(name == model.output_name for name in names):
        raise InvalidRequest(f"output '{model.output_name}' already exists in request")
    if names != [model.output_name]:
        raise InvalidRequest(f"outputs names {short(names)}, expected [{model.output_name!r}].")
    parameters = _parameters(outputs[0], model.output_name)
    found.binary = _boolean(parameters.get("binary_data"), "binary_data")
    if (count := parameters.get("classification")) is not None:
        found.classes = class_count(count)
    if parameters.get("shared_memory_region") is not None:
        raise InvalidRequest("shared memory is not offered.")


def check_parameters(parameters: Mapping[str, Any], allowed: str = "") -> None:
    """Raises InvalidRequest for what would change the answer, or is reserved and not `allowed`;
    others are hints."""
    for name, value in parameters.items():
        if name in _SEQUENCE and value:
            raise InvalidRequest(
                f"the request has the parameter {name}: a classifier has no sequences, expected"
                " each request without it."
            )
        if name.startswith("triton_") and name != allowed:
            raise InvalidRequest(
                f"the parameter {name[:50]} is reserved for Triton usage, expected a name without"
                " 'triton_'."
            )
        if name in ("priority", "timeout") and (type(value) is not int or value < 0):
            raise InvalidRequest(f"{name} is {short(value)}, expected a number of 0 or more.")


def class_count(value: Any) -> int:
    """The parameter `classification`. Raises InvalidRequest."""
    if type(value) is not int or not 1 <= value <= MOST_CLASSES:
        raise InvalidRequest(f"classification is {short(value)}, expected a number of classes.")
    return value


def _parameters(owner: Mapping, what: str) -> dict:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"the parameters of {what} are {kind(parameters)}, not an object.")
    return parameters


def _boolean(value: Any, name: str) -> bool:
    if value is not None and type(value) is not bool:
        raise InvalidRequest(f"{name} is {kind(value)}, expected true or false.")
    return bool(value)


def _identifier(request: dict) -> str | None:
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise InvalidRequest(f"id is {kind(identifier)}, expected a string.")
    return identifier


def flat(name: str, data: list, shape: list[int]) -> list:
    """Flat data as it is; nested data must follow `shape` at every level."""
    if not data or not isinstance(data[0], list):
        return data
    level: list[Any] = [data]
    for size in shape:
        if not all(isinstance(entry, list) and len(entry) == size for entry in level):
            raise InvalidRequest(
                f"{name} is nested unlike its shape {list(shape)}: flat data will do."
            )
        level = list(itertools.chain.from_iterable(level))
    return level


def _whole_numbers(name: str, values: list, shape: list[int], text: bytes) -> bytes:
    if len(values) != math.prod(shape):
        raise InvalidRequest(
            f"{name} has {len(values)} values, its shape {shape} needs {math.prod(shape)}."
        )
    return pixels(name, values, text)


def pixels(name: str, values: list, text: bytes) -> bytes:
    """A flat list of the JSON `text` as bytes.

    Raises InvalidRequest unless all are whole numbers from 0 to 255.
    """
    try:
        # It takes true for 1; looking at each value's type would cost more than all the rest.
        if b"true" in text or b"false" in text:
            _check_types(name, values)
        return bytes(values)
    except TypeError:
        _check_types(name, values)
        raise
    except ValueError:
        _check_types(name, values)
        low, high = min(values), max(values)
        value = low if low < 0 else high
        raise InvalidRequest(
            f"{name} holds {str(value)[:20]}, expected whole numbers from 0 to 255."
        ) from None


def _check_types(name: str, values: list) -> None:
    wrong = set(map(type, values)) - {int}
    if wrong:
        kinds = ", ".join(sorted(kind.__name__ for kind in wrong))
        raise InvalidRequest(f"{name} holds {kinds}, expected whole numbers from 0 to 255.")


def _texts(name: str, values: list, shape: list[int]) -> list[bytes]:
    """JSON has no bytes: encoded images in it are base64."""
    if len(values) != shape[0] or not all(isinstance(value, str) for value in values):
        raise InvalidRequest(f"{name} needs {shape[0]} strings, base64 of a file each.")
    return [json_body.base64_bytes(name, value) for value in values]


def elements(name: str, data: bytes, count: int) -> list[bytes]:
    """The BYTES elements in `data`. Raises InvalidRequest unless there are `count`."""
    found, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(data) or len(found) != count:
        raise InvalidRequest(
            f"{name} holds {len(data)} bytes that are not {count} elements, each behind its length"
            " in 4 bytes."
        )
    return found


def _array(model: Model, data: bytes, shape: tuple[int, ...] | list[int]) -> np.ndarray:
    if len(data) != math.prod(shape):
        raise InvalidRequest(
            f"{model.input_name} has {len(data)} bytes, its shape {list(shape)} needs"
            f" {math.prod(shape)}."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)
