"""The contract out of any artifact, told by its content and read without the library that opens it.

What `contract.py` puts in, found again in milliseconds, in a file of whatever name: an app's assets
rarely keep ours. Files come from anywhere, so nothing in them is believed. Standard library only.
"""

import dataclasses
import json
import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from serving.contract.protobuf_wire import BYTES, Malformed, fields
from serving.contract.release_files import CONTRACT, CONTRACT_IN_SAVED_MODEL, SAVED_MODEL_GRAPH

_KEY = "contract"
"""That of `contract.py`, which imports more than the standard library."""
_ARCHIVE = "PyTorch or Keras"
"""Both are ZIP archives: the contract says which."""
_LINEAGE = re.compile(r"(keras|torch)-[0-9a-f]{1,64}")
_MOST = 16 * 2**20
"""Bytes of a contract, as in a release (`serving/store/release.py`)."""
_MOST_HEADER = 100 * 2**20
"""Bytes of a safetensors header: its library's own limit."""
_MOST_FIELDS = 1_000_000
"""Of an ONNX model itself, without those of its graph: some dozens."""
_DAMAGED = (
    *(EOFError, KeyError, RecursionError, RuntimeError),
    *(ValueError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What readers raise of bytes that nobody meant to be read; RuntimeError: encrypted archives."""


class NoContract(ValueError):
    """The file is no artifact, or one without a contract; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Embedded:
    """`title` is what people call the kind of file, `lineage` an id such as `identify` gives."""

    title: str
    contract: dict
    lineage: str


def read(path: Path) -> Embedded:
    """What the artifact at `path`, a file or a SavedModel's directory, says of itself.

    Raises NoContract, and OSError where it cannot be read.
    """
    if path.is_dir():
        return _checked(path, "SavedModel", _of_saved_model(path))
    with path.open("rb") as file:
        if not file.seek(0, 2):  # which cannot be mapped
            raise NoContract(f"{path} is empty.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            title = _kind(data)
            try:
                text = _READERS[title](path, data)
            except _DAMAGED as error:
                if title == "ONNX":  # what is of no other kind
                    raise NoContract(
                        f"{path} is no artifact of a model, or a damaged one: expected ONNX, "
                        "TFLite, SavedModel, .keras, .safetensors or .pt2."
                    ) from error
                raise NoContract(f"{path} is damaged, or no {title} file: {error}.") from error
    return _checked(path, title, text)


def _kind(data: mmap.mmap) -> str:
    """By what stands where in the first bytes. Nothing does in ONNX."""
    if data[4:8] == b"TFL3":
        return "TFLite"
    if data[:4] == b"PK\x03\x04":
        return _ARCHIVE
    return "safetensors" if data[8:9] == b"{" else "ONNX"


def _checked(path: Path, title: str, text: bytes | str | None) -> Embedded:
    if text is None:
        raise NoContract(
            f"{path} is a {title} file without a lineage id: Darkroom did not make it."
        )
    try:
        contract = json.loads(text)
        lineage = contract["lineage"]
        if not _LINEAGE.fullmatch(lineage):
            raise ValueError("it is no id")
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise NoContract(f"{path} holds a contract without a readable lineage id.") from error
    if title == _ARCHIVE:
        title = "Keras" if contract.get("framework") == "keras" else "PyTorch program"
    return Embedded(title, contract, lineage)


def _of_saved_model(path: Path) -> bytes | None:
    if not (path / SAVED_MODEL_GRAPH).is_file():
        raise NoContract(f"{path} is no SavedModel: it holds no {SAVED_MODEL_GRAPH}.")
    beside = path / CONTRACT_IN_SAVED_MODEL
    if not beside.is_file():
        return None
    with beside.open("rb") as file:
        return file.read(_MOST)


def _of_onnx(path: Path, data: mmap.mmap) -> bytes | None:
    """Of the model's `metadata_props` (field 14 of key, 1, and value, 2); github.com/onnx/onnx,
    onnx/onnx.proto. The graph between them is stepped over."""
    with memoryview(data) as view:
        found = None
        for count, field in enumerate(fields(view, 0, len(view))):
            if count > _MOST_FIELDS:
                raise Malformed("it has too many parts")
            if (field.number, field.kind) == (14, BYTES):
                entry = {
                    f.number: data[f.start : f.end] for f in fields(view, field.start, field.end)
                }
                if entry.get(1) == _KEY.encode():
                    found = entry.get(2)
    return found


def _of_tflite(path: Path, data: mmap.mmap) -> bytes | None:
    """Of the metadata's buffer; the numbers are the tables' slots in LiteRT's schema.fbs."""
    model = _u32(data, 0)
    for entry in _tables(data, _slot(data, model, 6)):
        name, number = _slot(data, entry, 0), _slot(data, entry, 1)
        if name and _vector(data, name) == _KEY.encode():
            buffers = list(_tables(data, _slot(data, model, 4)))
            buffer = buffers[_u32(data, number) if number else 0]
            if content := _slot(data, buffer, 0):
                return _vector(data, content)
    return None


def _u32(data: mmap.mmap, at: int) -> int:
    (value,) = struct.unpack_from("<I", data, at)
    return value


def _slot(data: mmap.mmap, table: int, number: int) -> int:
    """Where a table's field lies, 0 where it has none: its place is in the table's vtable."""
    (back,) = struct.unpack_from("<i", data, table)
    (size,) = struct.unpack_from("<H", data, table - back)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, table - back + 4 + 2 * number)
    return table + offset if offset else 0


def _tables(data: mmap.mmap, field: int) -> Iterator[int]:
    """Where the tables of a vector of them lie."""
    if field:
        start = field + _u32(data, field)
        count = _u32(data, start)
        if start + 4 + 4 * count > len(data):
            raise ValueError("it is cut off")
        for at in range(start + 4, start + 4 + 4 * count, 4):
            yield at + _u32(data, at)


def _vector(data: mmap.mmap, field: int) -> bytes:
    """The bytes of a string or a vector of bytes."""
    start = field + _u32(data, field)
    end = start + 4 + _u32(data, start)
    if end > len(data):
        raise ValueError("it is cut off")
    return data[start + 4 : end]


def _of_safetensors(path: Path, data: mmap.mmap) -> str | None:
    """Of the header's metadata: eight bytes say how long the header is."""
    (size,) = struct.unpack_from("<Q", data, 0)
    if size > min(len(data) - 8, _MOST_HEADER):
        raise ValueError("it is cut off")
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    return metadata.get(_KEY)


def _of_archive(path: Path, data: mmap.mmap) -> bytes | None:
    """Keras has it beside its own files, PyTorch below `<name>/extra/`."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename == CONTRACT or info.filename.endswith(f"/extra/{CONTRACT}"):
                with archive.open(info) as file:
                    return file.read(_MOST)
    return None


_READERS = {
    "TFLite": _of_tflite,
    _ARCHIVE: _of_archive,
    "safetensors": _of_safetensors,
    "ONNX": _of_onnx,
}
