"""A network that a format cannot express is refused by one sentence: which operation of which
layer, and what to do."""

import re
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from components.base.fingerprint import ROOT
from export.formats import contract as contracts
from export.formats import onnx, saved_model, tflite
from export.formats.inexpressible import sentence
from export.formats.inference import Inference
from tests.helpers.export_data import network

OF_PYTORCH = """
import sys, torch
from torch import nn
from export.formats import contract, onnx
from export.formats.inexpressible import sentence
from export.formats.torch_inference import torch_inference
from tests.helpers.export_data import network

class Branches(nn.Module):
    def forward(self, x):
        x = x.flatten(1)[:, :10]
        if x.sum() > 0:
            return x
        return -x

class Bessel(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x.flatten(1)[:, :10])

network = network("torch")
for module in (Branches(), Bessel()):
    inference = torch_inference(module, network.architecture)
    try:
        onnx.export_torch(inference, contract.build(network, "torch-00"), sys.argv[1])
    except Exception as error:
        print("said:", sentence(error))
"""


class Beta(keras.layers.Layer):
    """Of an operation that neither TFLite nor ONNX has."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        between = keras.ops.sigmoid(x)
        return tf.math.betainc(between + 1, between + 1, between)


@pytest.fixture(scope="module")
def odd():
    image = keras.Input((8, 8, 1))
    found = Beta(name="odd")(keras.layers.Dense(10)(keras.layers.Flatten()(image)))
    return Inference(keras.Model(image, found), network("keras").architecture)


def test_an_operation_that_keras_needs_is_named_with_its_layer(odd, tmp_path):
    contract = contracts.build(network("keras"), "keras-00")
    saved = saved_model.write(odd, contract, tmp_path / "saved_model")
    for name, export in (
        ("TFLite", lambda: tflite.convert(saved, contract, tmp_path / "model.tflite")),
        ("ONNX", lambda: onnx.export_keras(odd, contract, tmp_path / "model.onnx")),
    ):
        with pytest.raises(Exception, match="Betainc") as refused:
            export()
        said = sentence(refused.value)
        # TensorFlow counts a layer's calls.
        needs = f"layer odd(_1)? needs the operation Betainc, which {name} does not have: build it"
        assert re.match(needs, said), said
        assert "\n" not in said


def test_what_pytorch_cannot_express_is_named_with_its_line_or_operation(tmp_path):
    command = [sys.executable, "-c", OF_PYTORCH, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    branches, bessel = (line for line in done.stdout.splitlines() if line.startswith("said:"))
    assert "line 12 (" in branches and "depends on the values in the images" in branches
    assert "the operation prims.bessel_j0, which ONNX does not have" in bessel


def test_anything_else_is_its_first_line():
    assert sentence(ValueError("weights are missing.\nTraceback\n  ...")) == "weights are missing"
    assert sentence(KeyError()) == "KeyError"
