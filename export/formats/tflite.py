"""TFLite for phones: float32, built-in operations only, any batch size, the contract inside."""

import tempfile
from pathlib import Path

import flatbuffers
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from export.formats import contract as contracts
from export.formats import saved_model
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS

SIGNATURE = "serving_default"
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as a TFLite file, from the SavedModel beside it where there is one."""
    beside = Path(path).with_name(FORMATS["saved_model"].file)
    if beside.is_dir():
        return convert(beside, model.contract, path)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        return convert(saved_model.export(model, Path(scratch, "it")), model.contract, path)


def convert(directory: str | Path, contract: dict, path: str | Path) -> Path:
    """Converts a SavedModel's `serving_default` and writes the file.

    The input `image` is uint8 (N, H, W, C), the output `probabilities` float32 (N, classes), both
    by the signature runner and by tensor name. From a SavedModel, because the route over concrete
    functions leaves READ_VARIABLE operations. An operation without a built-in raises
    `tf.lite`'s ConverterError: Flex operations are not allowed.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    path = Path(path)
    path.write_bytes(with_contract(converter.convert(), contract))
    return path


def with_contract(content: bytes, contract: dict) -> bytes:
    """The TFLite file `content` with the contract as a metadata buffer and the contract's names."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (signature,) = model.signatureDefs
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    for entry in (*signature.inputs, *signature.outputs):
        tensors[entry.tensorIndex].name = entry.name
    metadata = schema.MetadataT()
    metadata.name = contracts.KEY
    metadata.buffer = len(model.buffers)
    buffer = schema.BufferT()
    buffer.data = list(contracts.to_json(contract).encode())
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), metadata]
    builder = _AlignedBuilder(len(content) + 65536)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """Keeps byte vectors, the weights among them, on 16-byte boundaries as the schema demands
    (`force_align`), which the generated Python code does not."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)
