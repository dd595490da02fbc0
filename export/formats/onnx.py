"""ONNX from Keras (by tf2onnx) and from PyTorch (by its own exporter), under one contract.

Both give one file without external data, of the same operator set, with `image` uint8
(N, H, W, C) in, `probabilities` float32 (N, classes) out, and a batch dimension called `batch`.

PyTorch's must be made in a process without TensorFlow: its exporter loads Triton, which ends a
process that has loaded TensorFlow.
"""

import warnings
from pathlib import Path
from typing import Any

import onnx

from export.formats import contract as contracts
from export.formats.trained_model import TrainedModel

# The lowest that PyTorch's exporter writes, and the highest that tf2onnx does.
OPSET = 18
BATCH = "batch"
IMAGE_KEYS = {
    "Image.ColorSpaceGamma": "SRGB",
    # 0 to 255: normalisation is part of the graph.
    "Image.NominalPixelRange": "NominalRange_0_255",
}


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as one ONNX file."""
    del precision
    if model.network.framework == "torch":
        return export_torch(model.torch_inference, model.contract, path)
    return export_keras(model.inference, model.contract, path)


def export_keras(module: Any, contract: dict, path: str | Path) -> Path:
    """Writes the ONNX file of an `inference.Inference`."""
    import tf2onnx

    function = module.image
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=OPSET
    )
    return _write(model, contract, path)


def export_torch(module: Any, contract: dict, path: str | Path) -> Path:
    """Writes the ONNX file of a `torch_inference.TorchInference`."""
    import torch

    from export.formats.torch_inference import example

    images = example(tuple(contract["input"]["shape"][1:]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.|onnxscript\.")
        program = torch.onnx.export(
            module,
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[contracts.IMAGE],
            output_names=[contracts.PROBABILITIES],
            dynamic_shapes=({0: torch.export.Dim(BATCH)},),
            external_data=False,
            verbose=False,
        )
    return _write(program.model_proto, contract, path)


def _write(model: onnx.ModelProto, contract: dict, path: str | Path) -> Path:
    _rename(model.graph, model.graph.input[0].name, contracts.IMAGE)
    _rename(model.graph, model.graph.output[0].name, contracts.PROBABILITIES)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    _drop_traces(model)
    _drop_unused_domains(model)
    model.graph.name = contract["framework"]
    return save(model, contract, path)


def save(model: onnx.ModelProto, contract: dict, path: str | Path) -> Path:
    """Checks the model and writes it with the contract inside, and with what else says how to use
    it: the keys for images of ONNX's own metadata
    (https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md)."""
    properties = {
        contracts.KEY: contracts.to_json(contract),
        "lineage": contract["lineage"],
        **IMAGE_KEYS,
        "Image.BitmapPixelFormat": "Gray8" if contract["input"]["shape"][-1] == 1 else "Rgb8",
    }
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    path = Path(path)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Renames a value wherever it is made or used; a value that has the new name makes way."""
    names = {old: new}
    if old != new:
        names[new] = f"{new}_inner"
    for node in graph.node:
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                field[index] = names.get(name, name)
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in values:
            value.name = names.get(value.name, value.name)


def _drop_traces(model: onnx.ModelProto) -> None:
    """Removes what an exporter notes about its own run: stack traces with the paths of the machine
    it ran on, which would also make equal models differ."""
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.graph.doc_string = ""
    model.doc_string = ""


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    """tf2onnx names the domain ai.onnx.ml whether a node is of it or not."""
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
