"""TFLite for phones: built-in operations only, any batch size, contract, labels and metadata inside.

Of a network that is described by its layers, what can be computed ahead is (see folding.py).
"""

import tempfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from components.networks.custom_network import CustomNetwork
from export.formats import contract as contracts
from export.formats import folding, saved_model, tflite_metadata
from export.formats.inference import Inference
from export.formats.quantised_tflite import SIGNATURE, quantise
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as a TFLite file.

    What is not float32 is made of that file where it lies beside it.
    """
    path = Path(path)
    if precision == "float32":
        content = _float32(model)
    else:
        beside = path.with_name(FORMATS["tflite"].file)
        source = beside.read_bytes() if beside.is_file() else _float32(model)
        images = model.calibration_images if precision == "int8" else None
        content = quantise(source, precision, images)
    path.write_bytes(with_contract(content, model.contract))
    return path


def _float32(model: TrainedModel) -> bytes:
    return converted(folded(model), model)


def folded(model: TrainedModel) -> Any:
    """The Keras model with as few operations as there can be; the user's own as it is."""
    if isinstance(model.network.architecture, CustomNetwork):
        return model.keras_model
    return folding.fold(model.network, model.weights)


def converted(keras_model: Any, model: TrainedModel) -> bytes:
    """A TFLite file of a Keras model that gives what `model` does."""
    module = Inference(keras_model, model.network.architecture, temperature=model.temperature)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        return _convert(saved_model.write(module, model.contract, Path(scratch, "it")))


def convert(directory: str | Path, contract: dict, path: str | Path) -> Path:
    """Converts a SavedModel's `serving_default` and writes the file.

    The input `image` is uint8 (N, H, W, C), the output `probabilities` float32 (N, classes), both
    by the signature runner and by tensor name. An operation without a built-in raises `tf.lite`'s
    ConverterError: Flex operations are not allowed.
    """
    path = Path(path)
    path.write_bytes(with_contract(_convert(directory), contract))
    return path


def _convert(directory: str | Path) -> bytes:
    # From a SavedModel, because the route over concrete functions leaves READ_VARIABLE operations.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


def with_contract(content: bytes, contract: dict) -> bytes:
    """The TFLite file `content` with the contract and the metadata for on-device libraries as
    metadata buffers, the contract's names, and the labels behind it.

    Whatever of that is there already is replaced; a quantiser may keep it, lose it or keep half.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:  # a quantiser puts large ones behind the end
        if buffer.offset:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    (signature,) = model.signatureDefs
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    for entry in (*signature.inputs, *signature.outputs):
        tensors[entry.tensorIndex].name = entry.name
    _set_metadata(model, contracts.KEY, contracts.to_json(contract).encode())
    _set_metadata(model, tflite_metadata.NAME, tflite_metadata.build(contract))
    builder = _AlignedBuilder(len(content) + 65536)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return tflite_metadata.with_labels(bytes(builder.Output()), contract["labels"])


def _set_metadata(model: Any, name: str, content: bytes) -> None:
    held = {entry.name.decode(): entry for entry in model.metadata or []}
    if name not in held:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name.encode(), len(model.buffers)
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(schema.BufferT())
        held[name] = entry
    model.buffers[held[name].buffer].data = list(content)


class _AlignedBuilder(flatbuffers.Builder):
    """Keeps byte vectors, the weights among them, on 16-byte boundaries as the schema demands
    (`force_align`), which the generated Python code does not."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)
