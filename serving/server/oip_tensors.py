"""Inference requests and responses of the Open Inference Protocol over gRPC: messages to arrays and
back. No transport here.

Everything of a request is checked before anything of it is decoded or inferred.
"""

import math
from typing import Any

import numpy as np

from serving.inference.errors import InvalidRequest, NotOffered
from serving.inference.model import Model
from serving.server.classification import strings
from serving.server.oip import IMAGE_BYTES, class_count, elements
from serving.server.oip_answers import byte_strings
from serving.server.protos.pool import message

_Response = message("inference.ModelInferResponse")
_PART = 1 << 16
_SHARED_MEMORY = "shared_memory_region"
ASKS_FOR_FINAL = "triton_enable_empty_final_response"
"""By this parameter Triton's streaming clients ask for a mark on the last response to a request:
here, the only one."""


def value(parameter: Any) -> Any:
    """What an InferParameter holds, None if nothing."""
    choice = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, choice) if choice else None


def read_outputs(model: Model, request: Any) -> int:
    """How many classes are asked for, 0 for the probabilities. Raises InvalidRequest."""
    outputs = request.outputs
    if not outputs:
        return 0
    if len(outputs) != 1 or outputs[0].name != model.output_name:
        names = [output.name[:50] for output in outputs[:4]]
        raise InvalidRequest(f"outputs names {names}, expected {[model.output_name]}.")
    parameters = outputs[0].parameters
    if not parameters:
        return 0
    _refuse_shared_memory(model.output_name, parameters)
    if "classification" not in parameters:
        return 0
    return class_count(value(parameters["classification"]))


def read_input(model: Model, request: Any) -> np.ndarray | list[bytes]:
    """The one input: images uint8 (N, H, W, C), or N encoded files.

    Raises InvalidRequest, or TooLarge for too many images.
    """
    inputs = request.inputs
    if len(inputs) != 1 or inputs[0].name not in (model.input_name, IMAGE_BYTES):
        names = [tensor.name[:50] for tensor in inputs[:4]]
        raise InvalidRequest(
            f"inputs names {names}, expected {[model.input_name]} or {[IMAGE_BYTES]}."
        )
    tensor = inputs[0]
    name = tensor.name
    if tensor.parameters:
        _refuse_shared_memory(name, tensor.parameters)
    raw = request.raw_input_contents
    typed = [field.name for field, _ in tensor.contents.ListFields()]
    if typed and raw:
        raise InvalidRequest(
            f"{name} has both contents and raw_input_contents, expected one of them."
        )
    if not typed and len(raw) != 1:
        raise InvalidRequest(
            f"the request has {len(raw)} raw_input_contents and {name} no contents, expected one of"
            " them for the one input."
        )
    if name == model.input_name:
        return _images(model, tensor, raw, typed)
    return _files(model, tensor, raw, typed)


def _images(model: Model, tensor: Any, raw: Any, typed: list[str]) -> np.ndarray:
    _check_type(tensor, "UINT8", "uint_contents", typed)
    shape = tuple(tensor.shape)
    model.check_shape(shape)
    needed = math.prod(shape)
    if typed:
        values = tensor.contents.uint_contents
        if len(values) != needed:
            raise InvalidRequest(
                f"{tensor.name} has {len(values)} uint_contents, its shape {list(shape)} needs"
                f" {needed}."
            )
        data = pixels(tensor.name, values)
    else:
        data = raw[0]
        if len(data) != needed:
            raise InvalidRequest(
                f"{tensor.name} has {len(data)} bytes, its shape {list(shape)} needs {needed}."
            )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _files(model: Model, tensor: Any, raw: Any, typed: list[str]) -> list[bytes]:
    _check_type(tensor, "BYTES", "bytes_contents", typed)
    shape = list(tensor.shape)
    if not 1 <= len(shape) <= 2 or shape[1:] not in ([], [1]) or shape[0] < 1:
        raise InvalidRequest(
            f"{tensor.name} has shape {shape[:8]}, expected [-1] or [-1, 1], at least one image."
        )
    model.check_count(shape[0])
    if not typed:
        return elements(tensor.name, raw[0], shape[0])
    files = list(tensor.contents.bytes_contents)
    if len(files) != shape[0]:
        raise InvalidRequest(
            f"{tensor.name} has {len(files)} bytes_contents, its shape {shape} needs {shape[0]}."
        )
    return files


def pixels(name: str, values: Any) -> bytes:
    """A field of numbers as bytes. Raises InvalidRequest unless all are from 0 to 255."""
    try:
        # In parts: other threads get no turn within one conversion.
        parts = range(0, len(values), _PART)
        return b"".join(bytes(values[start : start + _PART]) for start in parts)
    except ValueError:
        value = min(values) if min(values) < 0 else max(values)
        raise InvalidRequest(
            f"{name} holds {value}, expected whole numbers from 0 to 255."
        ) from None


def write_response(model: Model, request: Any, probabilities: np.ndarray, count: int) -> Any:
    """The response, with `count` classes of each image as text or, if 0, the probabilities.

    Always raw, as Triton's: its clients read nothing else, and others read both.
    """
    response = _Response(model_name=model.name, model_version=model.version, id=request.id)
    if ASKS_FOR_FINAL in request.parameters:
        response.parameters["triton_final_response"].bool_param = True
    output = response.outputs.add()
    output.name = model.output_name
    if count:
        rows = strings(model, probabilities, count)
        output.datatype = "BYTES"
        output.shape.extend((len(rows), len(rows[0])))
        texts = [text for row in rows for text in row]
        response.raw_output_contents.append(byte_strings(texts))
        return response
    output.datatype = "FP32"
    output.shape.extend(probabilities.shape)
    response.raw_output_contents.append(probabilities.tobytes())
    return response


def _check_type(tensor: Any, datatype: str, contents: str, typed: list[str]) -> None:
    if tensor.datatype != datatype:
        raise InvalidRequest(
            f"{tensor.name} has datatype {tensor.datatype[:20]!r}, expected {datatype!r}."
        )
    if typed and typed != [contents]:
        raise InvalidRequest(
            f"{tensor.name} has {' and '.join(typed)}, expected {contents} for {datatype}."
        )


def _refuse_shared_memory(name: str, parameters: Any) -> None:
    if _SHARED_MEMORY in parameters:
        raise NotOffered(f"{name} is in shared memory, which is not offered: send its contents.")
