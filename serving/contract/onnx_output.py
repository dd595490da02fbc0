"""An ONNX model that also gives a value from inside of it, made without the library for ONNX.

The fields of a message that occurs twice are merged by every reader, and lists go on
(protobuf.dev/programming-guides/encoding, "Last One Wins"): a second `graph` behind the model that
holds nothing but an output adds that output. Field numbers: github.com/onnx/onnx, onnx/onnx.proto.
Standard library only.
"""

from serving.contract.protobuf_wire import BYTES, VARINT

_GRAPH = 7  # of Model
_OUTPUT = 12  # of Graph, a ValueInfo
_NAME, _TYPE = 1, 2  # of ValueInfo
_TENSOR = 1  # of Type
_ELEMENT = 1  # of Type.Tensor
_FLOAT = 1


def with_output(model: bytes, name: str) -> bytes:
    """The model with the float32 value called `name` as its last output; a runtime refuses it where
    there is no such value."""
    tensor = bytes([_ELEMENT << 3 | VARINT, _FLOAT])
    value = _field(_NAME, name.encode()) + _field(_TYPE, _field(_TENSOR, tensor))
    return model + _field(_GRAPH, _field(_OUTPUT, value))


def _field(number: int, content: bytes) -> bytes:
    """A message or a text as a field, the number below 16."""
    return bytes([number << 3 | BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
