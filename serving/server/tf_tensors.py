"""TensorFlow Serving's requests and responses: tensors to arrays and back. No transport here.

Everything of a request is checked before anything of it is decoded or inferred.
"""

import math
from typing import Any

import numpy as np

from serving.inference.errors import InvalidRequest
from serving.inference.model import Model
from serving.server.oip import IMAGE_BYTES
from serving.server.oip_tensors import pixels
from serving.server.protos.pool import message, pool
from serving.server.tf_serving_rest import SERVING_BYTES, SERVING_DEFAULT

_Tensor = message("tensorflow.TensorProto")
_TYPES = pool().FindEnumTypeByName("tensorflow.DataType").values_by_name
_FLOAT = _TYPES["DT_FLOAT"].number


class UnknownSignature(InvalidRequest):
    """The model has no such signature; the status is TensorFlow Serving's."""

    code = "FAILED_PRECONDITION"


def read_signature(name: str) -> str:
    """The signature of a request; its default is `serving_default`. Raises UnknownSignature."""
    if name not in ("", SERVING_DEFAULT, SERVING_BYTES):
        raise UnknownSignature(
            f"unknown signature {name[:100]!r}, expected {SERVING_DEFAULT!r} or {SERVING_BYTES!r}."
        )
    return name or SERVING_DEFAULT


def read_inputs(model: Model, signature: str, inputs: Any) -> np.ndarray | list[bytes]:
    """Images uint8 (N, H, W, C) of `serving_default`, N encoded files of `serving_bytes`.

    Raises InvalidRequest, or TooLarge for too many images.
    """
    expected = model.input_name if signature == SERVING_DEFAULT else IMAGE_BYTES
    if len(inputs) != 1 or expected not in inputs:
        names = sorted(name[:50] for name in inputs)[:4]
        raise InvalidRequest(f"inputs names {names}, expected {[expected]} for {signature}.")
    tensor = inputs[expected]
    if signature == SERVING_DEFAULT:
        return _images(model, tensor)
    return _files(model, tensor)


def check_outputs(model: Model, names: Any) -> None:
    """`names` are the request's output_filter. Raises InvalidRequest."""
    if names and list(names) != [model.output_name]:
        received = [name[:50] for name in names[:4]]
        raise InvalidRequest(f"output_filter names {received}, expected {[model.output_name]}.")


def write_tensor(probabilities: np.ndarray) -> Any:
    """A DT_FLOAT tensor, with the field that TensorFlow Serving fills and its clients read."""
    tensor = _Tensor(dtype=_FLOAT, float_val=probabilities.ravel())
    for size in probabilities.shape:
        tensor.tensor_shape.dim.add().size = size
    return tensor


def _images(model: Model, tensor: Any) -> np.ndarray:
    name = model.input_name
    shape = _sizes(name, tensor, "DT_UINT8")
    model.check_shape(shape)
    needed = math.prod(shape)
    data, values = tensor.tensor_content, tensor.int_val
    if data and values:
        raise InvalidRequest(f"{name} has both tensor_content and int_val, expected one of them.")
    if values:
        if len(values) > needed:
            raise InvalidRequest(
                f"{name} has {len(values)} int_val, its shape {list(shape)} needs {needed}."
            )
        data = pixels(name, values)
        # TensorFlow leaves out repetitions of the last value.
        data += data[-1:] * (needed - len(data))
    if len(data) != needed:
        raise InvalidRequest(
            f"{name} has {len(data)} bytes of tensor_content, its shape {list(shape)} needs"
            f" {needed}, or int_val."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _files(model: Model, tensor: Any) -> list[bytes]:
    shape = _sizes(IMAGE_BYTES, tensor, "DT_STRING")
    if len(shape) != 1 or shape[0] < 1:
        raise InvalidRequest(
            f"{IMAGE_BYTES} has shape {list(shape)[:8]}, expected [-1] with at least one image."
        )
    model.check_count(shape[0])
    files = list(tensor.string_val)
    if len(files) != shape[0]:
        raise InvalidRequest(
            f"{IMAGE_BYTES} has {len(files)} string_val, its shape {list(shape)} needs {shape[0]}."
        )
    return files


def _sizes(name: str, tensor: Any, datatype: str) -> tuple[int, ...]:
    if tensor.dtype != _TYPES[datatype].number:
        types = {one.number: one.name for one in _TYPES.values()}
        received = types.get(tensor.dtype, tensor.dtype)
        raise InvalidRequest(f"{name} has dtype {received}, expected {datatype}.")
    return tuple(dim.size for dim in tensor.tensor_shape.dim)
