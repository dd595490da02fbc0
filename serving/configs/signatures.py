"""The names, types and shapes that a model file itself declares, read without its runtime.

Messages and their numbers: onnx/onnx.proto, and tensorflow/core/protobuf/saved_model.proto and
meta_graph.proto. Standard library only.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from serving.contract.protobuf_wire import BYTES, Field, Malformed, fields
from serving.contract.release_files import FORMATS, SAVED_MODEL_GRAPH
from serving.store.files import read_plain
from serving.store.release import Release, StoreError

SIGNATURE = "serving_default"
_MOST_BYTES = 2**31
"""No protocol buffer is larger."""
_ONNX_TYPES = {1: "float32", 2: "uint8"}
_TENSORFLOW_TYPES = {1: "float32", 4: "uint8"}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """`shape` as in a contract: None for a size that is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """What goes in and what comes out."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def check(release: Release, contract: dict, formats: Sequence[str]) -> None:
    """Compares these formats (`onnx`, `saved_model`) with the contract. Raises StoreError."""
    try:
        expected = Signature(*((_of_contract(contract[side]),) for side in ("input", "output")))
    except (KeyError, TypeError) as error:
        raise StoreError(f"the contract of {release.path} is not complete: {error!r}.") from error
    for name in formats:
        path = release.path / (SAVED_MODEL_GRAPH if name == "saved_model" else FORMATS[name].file)
        found = READERS[name](path)
        if found != expected:
            raise StoreError(f"{path} takes and gives {found}, its contract says {expected}.")


def _of_contract(tensor: dict) -> Tensor:
    return Tensor(tensor["name"], tensor["dtype"], tuple(tensor["shape"]))


def onnx(path: Path) -> Signature:
    """Of an ONNX file. Raises StoreError."""
    return _read(path, _onnx)


def saved_model(path: Path) -> Signature:
    """`serving_default` of a SavedModel's graph. Raises StoreError."""
    return _read(path, _saved_model)


READERS: dict[str, Callable[[Path], Signature]] = {"onnx": onnx, "saved_model": saved_model}


class _Message:
    """One message, whose fields are asked for by number."""

    def __init__(self, data: memoryview, start: int, end: int):
        self._data = data
        self._fields = list(fields(data, start, end))

    def number(self, number: int, default: int | None = None) -> int | None:
        """A varint, as the signed number that it stands for."""
        for field in reversed(self._fields):
            if field.number == number and field.kind != BYTES:
                return field.value - 2**64 if field.value >= 2**63 else field.value
        return default

    def text(self, number: int) -> str:
        """Empty when the field is not there."""
        found = list(self._bytes(number))
        return bytes(self._data[found[-1].start : found[-1].end]).decode() if found else ""

    def all(self, number: int) -> "list[_Message]":
        """Of a repeated field."""
        return [_Message(self._data, field.start, field.end) for field in self._bytes(number)]

    def one(self, number: int) -> "_Message":
        """Empty when the field is not there."""
        return (self.all(number) or [_Message(self._data, 0, 0)])[-1]

    def _bytes(self, number: int) -> Iterator[Field]:
        return (f for f in self._fields if f.number == number and f.kind == BYTES)


def _read(path: Path, reader: Callable[[_Message], Signature]) -> Signature:
    try:
        data = memoryview(read_plain(path, _MOST_BYTES))
        return reader(_Message(data, 0, len(data)))
    except (OSError, Malformed, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _onnx(model: _Message) -> Signature:
    graph = model.one(7)
    return Signature(tuple(map(_onnx_value, graph.all(11))), tuple(map(_onnx_value, graph.all(12))))


def _onnx_value(value: _Message) -> Tensor:
    tensor = value.one(2).one(1)  # its type, if that is a tensor's
    shape = tuple(dim.number(1) for dim in tensor.one(2).all(1))
    return Tensor(value.text(1), _name(_ONNX_TYPES, tensor.number(1)), shape)


def _saved_model(model: _Message) -> Signature:
    for graph in model.all(2):
        for entry in graph.all(5):
            if entry.text(1) == SIGNATURE:
                signature = entry.one(2)
                return Signature(_entries(signature.all(1)), _entries(signature.all(2)))
    return Signature((), ())


def _entries(entries: list[_Message]) -> tuple[Tensor, ...]:
    return tuple(_tensor_info(entry.text(1), entry.one(2)) for entry in entries)


def _tensor_info(name: str, info: _Message) -> Tensor:
    sizes = [dim.number(1, 0) for dim in info.one(3).all(2)]
    shape = tuple(None if size == -1 else size for size in sizes)
    return Tensor(name, _name(_TENSORFLOW_TYPES, info.number(2)), shape)


def _name(types: dict[int, str], number: int | None) -> str:
    return types.get(number or 0, f"type {number}")
