"""A release of another size than the digits: which of three colours a picture has most of."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.helpers.serving_fixtures import bundle, contract, seal

LABELS = ["red", "green", "blue"]
SIDE = 64


def network() -> bytes:
    """image uint8 (N, SIDE, SIDE, 3) to probabilities float32 (N, 3)."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Constant", [], ["scale"], value_float=1 / 64),
        helper.make_node("Mul", ["means", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shape = ["batch", SIDE, SIDE, 3]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def colour_release(directory: Path, name: str = "colours") -> Path:
    """A release directory with a real ONNX model."""
    bundle(directory, name)
    (directory / "contract.json").write_text(json.dumps(contract(SIDE, SIDE, 3, LABELS)))
    (directory / "labels.txt").write_text("\n".join(LABELS) + "\n")
    images = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    for colour in range(3):
        images[colour, :, :, colour] = 200
    powers = np.exp(images.mean((1, 2)) / 64)
    probabilities = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    labels = np.arange(3)
    np.savez(directory / "golden.npz", image=images, probabilities=probabilities, label=labels)
    (directory / "model.onnx").write_bytes(network())
    return seal(directory, name)
