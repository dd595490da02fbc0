"""What is put into any TFLite file, whoever made it. Framework-free, but for LiteRT's schema."""

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.formats import contract as contracts
from export.formats import tflite_metadata

SIGNATURE = "serving_default"
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16


def opened(content: bytes) -> Any:
    """The file as objects of LiteRT's schema (`ModelT`)."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:  # a quantiser puts large ones behind the end
        if buffer.offset:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def packed(model: Any) -> bytes:
    """Such objects as a file."""
    builder = _AlignedBuilder(65536)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def with_contract(content: bytes, contract: dict) -> bytes:
    """The TFLite file `content` with the contract and the metadata for on-device libraries as
    metadata buffers, the contract's names, and the labels behind it.

    Whatever of that is there already is replaced; a quantiser may keep it or lose it.
    """
    model = opened(content)
    (signature,) = model.signatureDefs
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    (taken,), (given,) = signature.inputs, signature.outputs
    for entry, described in ((taken, contract["input"]), (given, contract["output"])):
        entry.name = tensors[entry.tensorIndex].name = described["name"]
    _set_metadata(model, contracts.KEY, contracts.to_json(contract).encode())
    _set_metadata(model, tflite_metadata.NAME, tflite_metadata.build(contract))
    return tflite_metadata.with_labels(packed(model), contract["labels"])


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
