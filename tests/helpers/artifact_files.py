"""The numbers and the contract inside an exported file, read and written where they are, whatever
the format: what a test needs that spoils one of them and leaves the rest as it was."""

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from export.formats import contract as contracts
from serving.contract.release_files import CONTRACT, CONTRACT_IN_SAVED_MODEL, FORMATS

Arrays = dict[str, np.ndarray]


def read(artifact: str, path: Path) -> Arrays:
    """Every constant array in the file by its name there, in the format's own layout and type."""
    return _KINDS[_kind(artifact)][0](path)


def write(artifact: str, path: Path, arrays: Arrays) -> None:
    """Puts these arrays, some of those that `read` gave, in the place of the old ones."""
    _KINDS[_kind(artifact)][1](path, arrays)


def write_contract(artifact: str, path: Path, contract: dict) -> None:
    """Replaces the contract inside by the form of it that this format has."""
    form = contracts.inside(contract, FORMATS[artifact])
    _KINDS[_kind(artifact)][2](path, contracts.to_json(form))


def channel_axis(artifact: str) -> int:
    """Of a convolution's kernel: the axis of the channels that it takes."""
    return {"onnx": 1, "litert": 3, "pt2": 1, "safetensors": 1}.get(_kind(artifact), 2)


def class_axis(array: np.ndarray, classes: int) -> int | None:
    """The axis of the classes, where it is the last layer's kernel or bias; no other layer of the
    small networks is as wide."""
    if array.ndim in (1, 2) and classes in array.shape:
        return array.shape.index(classes)
    return None


def _kind(artifact: str) -> str:
    row = FORMATS[artifact]
    own = {"onnxruntime": "onnx", "litert": "litert", "tensorflow": "saved_model"}
    return own.get(row.runtime, Path(row.file).suffix[1:])


def _read_onnx(path: Path) -> Arrays:
    import onnx

    initializers = onnx.load(path).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor).copy() for tensor in initializers}


def _write_onnx(path: Path, arrays: Arrays) -> None:
    import onnx

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            tensor.CopyFrom(onnx.numpy_helper.from_array(arrays[tensor.name], tensor.name))
    onnx.save(model, path)


def _contract_onnx(path: Path, text: str) -> None:
    import onnx

    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == contracts.KEY)
    entry.value = text
    onnx.save(model, path)


def tflite_model(content: bytearray):
    """The flatbuffer's reader; arrays that it gives of a bytearray are written through."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(content, 0)


def _tflite_arrays(content: bytearray) -> Arrays:
    from ai_edge_litert.schema_py_generated import TensorType

    types = {
        TensorType.FLOAT32: np.float32, TensorType.FLOAT16: np.float16,
        TensorType.INT8: np.int8, TensorType.INT32: np.int32,
    }  # fmt: skip
    model, found = tflite_model(content), {}
    graph = model.Subgraphs(0)
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        data = model.Buffers(tensor.Buffer()).DataAsNumpy()
        if isinstance(data, np.ndarray) and len(data) and tensor.Type() in types:
            shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
            found[f"{index:03d}"] = data.view(types[tensor.Type()]).reshape(shape)
        quantised = tensor.Quantization()
        if quantised is not None and quantised.ScaleLength():
            found[f"{index:03d}_scale"] = quantised.ScaleAsNumpy()
    return found


def _read_tflite(path: Path) -> Arrays:
    return {k: v.copy() for k, v in _tflite_arrays(bytearray(path.read_bytes())).items()}


def _write_tflite(path: Path, arrays: Arrays) -> None:
    content = bytearray(path.read_bytes())
    held = _tflite_arrays(content)
    for name, array in arrays.items():
        held[name][...] = array
    path.write_bytes(content)


def _contract_tflite(path: Path, text: str) -> None:
    content = bytearray(path.read_bytes())
    model = tflite_model(content)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    (entry,) = (entry for entry in entries if entry.Name() == contracts.KEY.encode())
    # As long as the old one: contracts of two runs of one network are.
    model.Buffers(entry.Buffer()).DataAsNumpy()[:] = np.frombuffer(text.encode(), np.uint8)
    path.write_bytes(content)


def _read_saved_model(path: Path) -> Arrays:
    import tensorflow as tf

    checkpoint = tf.train.load_checkpoint(str(path / "variables/variables"))
    names = sorted(checkpoint.get_variable_to_shape_map())
    return {name: checkpoint.get_tensor(name) for name in names if name.startswith("weights/")}


def _write_saved_model(path: Path, arrays: Arrays) -> None:
    import tensorflow as tf

    prefix = str(path / "variables/variables")
    checkpoint = tf.train.load_checkpoint(prefix)
    every = {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}
    every |= arrays
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(every), shape_and_slices=[""] * len(every),
        tensors=[tf.constant(value) for value in every.values()],
    )  # fmt: skip


def _contract_saved_model(path: Path, text: str) -> None:
    (path / CONTRACT_IN_SAVED_MODEL).write_text(text)


def rezip(path: Path, changed: dict[str, bytes]) -> None:
    """Replaces members of an archive by the ends of their names."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            (*_, new) = (content, *(new for end, new in changed.items() if name.endswith(end)))
            archive.writestr(name, new)


def unzip(path: Path, ending: str) -> bytes:
    """The archive's member whose name ends so."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(ending))
        return archive.read(name)


_KERAS_WEIGHTS = "model.weights.h5"


def _read_keras(path: Path) -> Arrays:
    import h5py

    found: Arrays = {}
    with h5py.File(io.BytesIO(unzip(path, _KERAS_WEIGHTS)), "r") as file:
        file.visititems(
            lambda name, item: found.update(
                {name: item[()]} if isinstance(item, h5py.Dataset) else {}
            )
        )
    return found


def _write_keras(path: Path, arrays: Arrays) -> None:
    import h5py

    content = io.BytesIO(unzip(path, _KERAS_WEIGHTS))
    with h5py.File(content, "r+") as file:
        for name, array in arrays.items():
            file[name][...] = array
    rezip(path, {_KERAS_WEIGHTS: content.getvalue()})


def _contract_in_zip(path: Path, text: str) -> None:
    rezip(path, {CONTRACT: text.encode()})


def _pt2_tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Files and shapes by name, of weights and of constants; all are float32."""
    found = {}
    for kind in ("weights", "constants"):
        config = json.loads(unzip(path, f"model_{kind}_config.json"))["config"]
        for name, of in config.items():
            shape = tuple(size["as_int"] for size in of["tensor_meta"]["sizes"])
            found[name] = f"{kind}/{of['path_name']}", shape
    return found


def _read_pt2(path: Path) -> Arrays:
    found = {}
    for name, (file, shape) in _pt2_tensors(path).items():
        content = unzip(path, f"/{file}")
        if len(content) == 4 * math.prod(shape):  # a step counter is int64
            found[name] = np.frombuffer(content, np.float32).reshape(shape).copy()
    return found


def _write_pt2(path: Path, arrays: Arrays) -> None:
    tensors = _pt2_tensors(path)
    rezip(path, {f"/{tensors[name][0]}": array.tobytes() for name, array in arrays.items()})


def _read_safetensors(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    return load_file(path)


def rewrite_safetensors(path: Path, arrays: Arrays, metadata: dict[str, str]) -> None:
    from safetensors.numpy import load_file, save_file

    from export.formats.safetensors_file import read_metadata

    held = {name: np.ascontiguousarray(array) for name, array in (load_file(path) | arrays).items()}
    save_file(held, path, metadata=read_metadata(path) | metadata)


_KINDS: dict[str, tuple[Callable, Callable, Callable]] = {
    "onnx": (_read_onnx, _write_onnx, _contract_onnx),
    "litert": (_read_tflite, _write_tflite, _contract_tflite),
    "saved_model": (_read_saved_model, _write_saved_model, _contract_saved_model),
    "keras": (_read_keras, _write_keras, _contract_in_zip),
    "pt2": (_read_pt2, _write_pt2, _contract_in_zip),
    "safetensors": (
        _read_safetensors,
        lambda path, arrays: rewrite_safetensors(path, arrays, {}),
        lambda path, text: rewrite_safetensors(path, {}, {contracts.KEY: text}),
    ),
}
"""What reads arrays, writes them, and writes the contract."""
