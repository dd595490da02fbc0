"""What an ONNX file's own structure says before a runtime opens it: whether all of it is inside.

Tensors may name other files ("external data") to be read from beside the model: a release is
complete, and nothing outside of it is anybody's business. ONNX Runtime would follow them wherever a
tensor may stand, and other readers some that it ignores: the whole file is walked.

Messages and their numbers: github.com/onnx/onnx, onnx/onnx.proto. Standard library only.
"""

from serving.contract.protobuf_wire import BYTES, VARINT, Malformed, fields

MAX_DEPTH = 60
"""Of messages in each other: a graph within a graph takes three. Protobuf itself reads 100."""
MAX_FIELDS = 5_000_000
"""A network of a thousand layers has 100,000; each one costs time."""

_MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Tensor": {},
}
"""Of each message that leads to tensors: the fields that hold others."""
_GRAPH = 7  # of Model
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of Tensor
_DEFAULT = 0  # data location: inside


def problem(data: memoryview) -> str | None:
    """Why no runtime should open the file with this content, None where nothing is wrong with it;
    half a sentence."""
    waiting = [("Model", 0, len(data), 1)]
    count, graph = 0, False
    try:
        while waiting:
            message, start, end, depth = waiting.pop()
            if depth > MAX_DEPTH:
                return f"it is nested more than {MAX_DEPTH} deep"
            inner = _MESSAGES[message]
            for field in fields(data, start, end):
                count += 1
                if count > MAX_FIELDS:
                    return f"it has more than {MAX_FIELDS} parts"
                if field.kind == BYTES and field.number in inner:
                    graph = graph or message == "Model" and field.number == _GRAPH
                    waiting.append((inner[field.number], field.start, field.end, depth + 1))
                elif message == "Tensor" and _is_outside(field.number, field.kind, field.value):
                    return "a tensor of it lies in another file (external data)"
    except Malformed as error:
        return f"it is no ONNX model: {error}"
    return None if graph else "it is no ONNX model: it has no graph"


def _is_outside(number: int, kind: int, value: int) -> bool:
    if number == _DATA_LOCATION:
        return kind == VARINT and value != _DEFAULT
    return number == _EXTERNAL_DATA and kind == BYTES
