"""An artifact in the runtime of its format, with what that says of it and the contract inside.

Only the runtime that an artifact needs is imported.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from export.formats import contract as contracts
from serving.contract.release_files import CONTRACT, CONTRACT_IN_SAVED_MODEL, FORMATS, Runtime

Signature = Callable[[Any], np.ndarray]
"""What its input's name says, to float32 (N, classes): `image` is uint8 (N, H, W, C), `image_bytes`
a list of encoded images."""

_ADVICE = "expected a file written by `python -m export`; export the model again."


@dataclasses.dataclass(frozen=True)
class Opened:
    """An artifact in its runtime: its signatures by the name of their input, what the runtime says
    of its input and output (in the contract's form), and the contract found inside."""

    signatures: dict[str, Signature]
    input: dict
    output: dict
    contract: dict


def open_artifact(name: str, path: str | Path, threads: int) -> Opened:
    """Opens an artifact of the format `name` on the CPU with so many threads.

    Its signature `image` takes the network's own images; one that takes three channels of a grey
    network is given them equal. Raises ValueError when there is no contract in it, and whatever its
    runtime raises.
    """
    row = FORMATS[name]
    opened = _OPENERS[row.runtime](Path(path), threads)
    if not row.from_grey:
        return opened
    coloured = opened.signatures[contracts.IMAGE]
    grey = {contracts.IMAGE: lambda images: coloured(np.repeat(images, 3, axis=-1))}
    return dataclasses.replace(opened, signatures=grey)


def _open_saved_model(path: Path, threads: int) -> Opened:
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(str(path))
    default = loaded.signatures["serving_default"]
    signatures: dict[str, Signature] = {
        contracts.IMAGE: lambda images: default(image=tf.constant(images))[
            contracts.PROBABILITIES
        ].numpy()
    }
    if "serving_bytes" in loaded.signatures:
        encoded = loaded.signatures["serving_bytes"]
        signatures[contracts.IMAGE_BYTES] = lambda files: encoded(image_bytes=tf.constant(files))[
            contracts.PROBABILITIES
        ].numpy()
    (received,) = default.structured_input_signature[1].values()
    ((name, given),) = default.structured_outputs.items()
    return Opened(
        signatures,
        {
            "name": received.name,
            "dtype": received.dtype.name,
            "shape": received.shape.as_list(),
        },
        {"name": name, "dtype": given.dtype.name, "shape": given.shape.as_list()},
        _saved_model_contract(path),
    )


def _open_keras(path: Path, threads: int) -> Opened:
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    from export.formats.keras_archive import read_contract

    model = keras.saving.load_model(path, compile=False)
    # Called as it is, each operation would be started by itself.
    run = tf.function(model, reduce_retracing=True)
    (received,), (given,) = model.inputs, model.outputs
    return Opened(
        {contracts.IMAGE: lambda images: run(tf.constant(images)).numpy()},
        {"name": received.name, "dtype": received.dtype, "shape": list(received.shape)},
        {"name": model.output_names[0], "dtype": given.dtype, "shape": list(given.shape)},
        json.loads(read_contract(path)),
    )


def _open_torch(path: Path, threads: int) -> Opened:
    import torch

    torch.set_num_threads(threads)
    if path.suffix == ".pt2":
        module, received, given, contract = _torch_program(path)
    else:
        module, received, given, contract = _torch_weights(path)

    @torch.inference_mode()
    def run(images: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(images)).numpy()

    return Opened({contracts.IMAGE: run}, received, given, contract)


def _torch_program(path: Path) -> tuple[Any, dict, dict, dict]:
    import torch

    extra = {CONTRACT: ""}
    program = torch.export.load(path, extra_files=extra)
    if not extra[CONTRACT]:
        raise ValueError(f"{path} holds no {CONTRACT}: {_ADVICE}")
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    (taken,), (made,) = program.graph_signature.user_inputs, program.graph_signature.user_outputs

    def described(name: str, value: Any) -> dict:
        shape = [size if isinstance(size, int) else None for size in value.shape]
        return {"name": name, "dtype": str(value.dtype).removeprefix("torch."), "shape": shape}

    return (
        program.module(),
        described(taken, values[taken]),
        # A program's outputs have a place and no name.
        described(contracts.PROBABILITIES, values[made]),
        json.loads(extra[CONTRACT]),
    )


def _torch_weights(path: Path) -> tuple[Any, dict, dict, dict]:
    from components.networks import torch_model
    from export.formats.safetensors_file import network_of, read_metadata
    from export.formats.torch_inference import torch_inference

    contract, network = json.loads(read_metadata(path)[contracts.KEY]), network_of(path)
    module = torch_model.build(network)
    torch_model.load_weights(module, path)
    shape = [None, *network.spec.shape]
    return (
        torch_inference(module, network.architecture, contract["temperature"]),
        {"name": contracts.IMAGE, "dtype": "uint8", "shape": shape},
        {"name": contracts.PROBABILITIES, "dtype": "float32", "shape": [None, len(network.labels)]},
        contract,
    )


def _open_tflite(path: Path, threads: int) -> Opened:
    from serving.inference.tflite_runtime import open_interpreter

    interpreter = open_interpreter(path, threads)
    runner = interpreter.get_signature_runner("serving_default")

    def described(details: dict) -> dict:
        ((name, tensor),) = details.items()
        shape = [None if axis < 0 else int(axis) for axis in tensor["shape_signature"]]
        return {"name": name, "dtype": np.dtype(tensor["dtype"]).name, "shape": shape}

    return Opened(
        {contracts.IMAGE: lambda images: runner(image=images)[contracts.PROBABILITIES]},
        described(runner.get_input_details()),
        described(runner.get_output_details()),
        _tflite_contract(path),
    )


def _open_onnx(path: Path, threads: int) -> Opened:
    from serving.inference.onnx_runtime import open_session

    session = open_session(path, threads, gpu=False)
    types = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}

    def described(values: list) -> dict:
        (value,) = values
        shape = [axis if isinstance(axis, int) else None for axis in value.shape]
        return {
            "name": value.name,
            "dtype": types.get(value.type, value.type),
            "shape": shape,
        }

    return Opened(
        {contracts.IMAGE: lambda images: session.run(None, {contracts.IMAGE: images})[0]},
        described(session.get_inputs()),
        described(session.get_outputs()),
        _onnx_contract(session, path),
    )


def _saved_model_contract(directory: Path) -> dict:
    path = directory / CONTRACT_IN_SAVED_MODEL
    if not path.is_file():
        raise ValueError(f"{path} is missing: {_ADVICE}")
    return json.loads(path.read_text())


def _tflite_contract(path: Path) -> dict:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == contracts.KEY.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    raise ValueError(f"{path} holds no metadata buffer {contracts.KEY!r}: {_ADVICE}")


def _onnx_contract(session: Any, path: Path) -> dict:
    properties = session.get_modelmeta().custom_metadata_map
    if contracts.KEY not in properties:
        raise ValueError(f"{path} has no metadata property {contracts.KEY!r}: {_ADVICE}")
    return json.loads(properties[contracts.KEY])


_OPENERS: dict[Runtime, Callable[[Path, int], Opened]] = {
    "tensorflow": _open_saved_model,
    "litert": _open_tflite,
    "onnxruntime": _open_onnx,
    "keras": _open_keras,
    "torch": _open_torch,
}
