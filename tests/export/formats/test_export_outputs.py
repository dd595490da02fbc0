"""Whatever a network gives (logits, one logit, probabilities, their logarithms): every artifact
gives the probabilities of its classes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.base.process import ROOT
from components.networks import keras_model, torch_model
from export.export_formats import FormatsArgs
from export.formats import contract as contracts
from export.formats import onnx, saved_model, tflite, twin
from export.formats.inference import inference
from export.verification.runtimes import Signature, open_artifact
from tests.helpers import zoo
from tests.helpers.export_data import random_module, torch_probabilities

NAMES = ("one logit", "sigmoid", "softmax", "log_softmax")

# PyTorch's exporter takes seconds for each: these two hold both ways to probabilities.
OF_PYTORCH = ("one logit", "log_softmax")
_EXPORTS = (
    "import sys; from export.export_formats import FormatsArgs, main\n"
    "for path in sys.argv[1:]: main(FormatsArgs.model_validate_json(open(path).read()))"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """For each network a directory with its artifacts: Keras's of the twin, PyTorch's ONNX."""
    root = tmp_path_factory.mktemp("outputs")
    contract = {}
    for name in NAMES:
        description = zoo.network("torch", name)
        contract[name] = contracts.build(description, "torch-00")
        torch_model.save(random_module(description), description, root / name)
        values = FormatsArgs(
            framework="torch",
            model_dir=root / name,
            contract=contract[name],
            formats=["onnx"],
            required=["onnx"],
            output=root / name / "torch",
            failures=root / name / "failures.json",
        )
        (root / name / "torch").mkdir()
        (root / name / "args.json").write_text(values.model_dump_json())
    arguments = [str(root / name / "args.json") for name in OF_PYTORCH]
    pytorchs = subprocess.Popen([sys.executable, "-c", _EXPORTS, *arguments], cwd=ROOT)
    for name in NAMES:
        description = zoo.network("torch", name)
        weights = twin.load_torch_weights(root / name, description)
        module = inference(twin.to_keras(weights, description), description.architecture)
        saved = saved_model.write(module, contract[name], root / name / "saved_model")
        tflite.convert(saved, contract[name], root / name / "model.tflite")
        onnx.export_keras(module, contract[name], root / name / "keras.onnx")
    assert pytorchs.wait() == 0
    return root


FILES = {"saved_model": "saved_model", "tflite": "model.tflite", "onnx": "keras.onnx"}
ARTIFACTS = [(name, *item) for name in NAMES for item in FILES.items()]
ARTIFACTS += [(name, "onnx", "torch/model.onnx") for name in OF_PYTORCH]


@pytest.mark.parametrize("name, kind, file", ARTIFACTS)
def test_artifacts_give_the_probabilities_of_every_class(exported, name, kind, file):
    description = zoo.network("torch", name)
    images = np.random.default_rng(1).integers(0, 256, (40, *description.spec.shape), np.uint8)
    expected = torch_probabilities(torch_model.load(exported / name), images, description)
    assert expected.shape == (40, len(description.labels))
    served = _signatures(kind, exported / name / file)["image"]
    for rows in (slice(0, 1), slice(1, 8), slice(8, 40)):
        np.testing.assert_allclose(served(images[rows]), expected[rows], atol=1e-5)


def _signatures(kind: str, path: Path) -> dict[str, Signature]:
    if kind != "saved_model":
        return open_artifact(kind, path, threads=1).signatures
    # Opening it as parity does sets threads, for which TensorFlow is running too long already.
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    return {"image": lambda images: served(image=tf.constant(images))["probabilities"].numpy()}


def test_a_network_of_one_logit_is_served_as_two_probabilities():
    description = zoo.network("keras", "one logit")
    model = keras_model.build(description)
    model.get_layer("06_dense").kernel.assign(np.zeros((6, 1)))
    model.get_layer("06_dense").bias.assign([np.log(3)])
    images = np.zeros((1, *description.spec.shape), np.uint8)
    answer = inference(model, description.architecture).image(images)["probabilities"]
    np.testing.assert_allclose(answer, [[0.25, 0.75]], atol=1e-6)
