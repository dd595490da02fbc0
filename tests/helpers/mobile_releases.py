"""A release for phones that is neither square nor grey: RGB, margins, four classes.

`make_tflite` needs TensorFlow; what it made once is tests/data/linear_rgb.tflite.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.serving_fixtures import REPOSITORY, bundle, contract, seal

LABELS = ["red fox", "Größe", "鳥", "a,b"]
SHAPE = (12, 20, 3)
MARGINS = {"margin_height": 3, "margin_width": 4}
PIXELS = 12 * 20 * 3
TFLITE = REPOSITORY / "tests/data/linear_rgb.tflite"


def weights() -> np.ndarray:
    """float32 (PIXELS, 4)."""
    return (0.5 * np.sin(np.arange(PIXELS * 4))).astype(np.float32).reshape(PIXELS, 4)


def images() -> np.ndarray:
    """uint8 (5, 12, 20, 3)."""
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE), np.uint8)


def expected(images: np.ndarray) -> np.ndarray:
    """float32 (n, 4)."""
    logits = images.reshape(len(images), -1).astype(np.float32) / 255 @ weights()
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def linear_rgb_release(directory: Path, name: str = "linear", fit: str | None = None) -> Path:
    """A release directory with TFLite, "float16" TFLite (the same file, whose golden answers are
    0.01 off) and ONNX; its contract names the `fit`, if any."""
    bundle(directory, name)
    described = contract(*SHAPE, labels=LABELS)
    described["image_spec"] |= MARGINS | ({"fit": fit} if fit else {})
    (directory / "contract.json").write_text(json.dumps(described))
    (directory / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    answers = expected(images())
    np.savez(
        directory / "golden.npz",
        image=images(),
        probabilities=answers,
        tflite_float16=answers + np.float32(0.01),
        label=answers.argmax(1),
    )
    shutil.copyfile(TFLITE, directory / "model.tflite")
    shutil.copyfile(TFLITE, directory / "model_float16.tflite")
    (directory / "model.onnx").write_bytes(_onnx())
    accuracy = {"artifact": "tflite", "images": 300, "accuracy": 0.8765}
    return seal(directory, name, parity=[accuracy | {"images": 9, "accuracy": 1.0}, accuracy])


def _onnx() -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["pixels"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "weights"], ["logits"], alpha=1 / 255),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *SHAPE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(weights(), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make_tflite(path: Path) -> None:
    """Writes the same network as TFLite."""
    import tensorflow as tf

    class Linear(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, *SHAPE], tf.uint8, "image")])
        def serve(self, image):
            flat = tf.reshape(tf.cast(image, tf.float32), [1, PIXELS]) / 255.0
            return {"probabilities": tf.nn.softmax(flat @ tf.constant(weights()))}

    module = Linear()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    path.write_bytes(converter.convert())
