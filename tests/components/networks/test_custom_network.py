"""Custom networks: found in the current directory, built, exported, fingerprinted."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from components.base.fingerprint import custom_hashes, fingerprint
from components.base.process import ROOT, python_path
from components.base.refusal import ConfigError
from components.networks import keras_model, torch_model
from components.networks.architectures import architecture_of
from components.networks.custom_network import CustomNetwork, frameworks_of
from components.networks.description import Architecture
from components.networks.network import Network
from export.formats import contract as contracts
from export.formats import twin
from export.formats.inference import inference
from pipeline.commands.tune import tune
from pipeline.configuration.configure import configure
from pipeline.configuration.fitting import check_classes, check_searched
from serving.contract.image_spec import ImageSpec
from tests.helpers.export_data import digits_arrays, torch_probabilities, write_predictions

LOSSES = ("cross_entropy", "binary_cross_entropy")
SOURCE = """
import widths_of_mine
from components.networks.architectures import Architecture, Builders
from components.networks.layers import Dense, Flatten

def described(classes):
    return Architecture(name="mine", layers=(Flatten(), Dense(units=classes)))

def built(classes):
    return Builders(keras=_keras, torch=_torch)

def one_unit_for_two(classes):
    units = 1 if classes == 2 else classes
    return Architecture(name="mine", layers=(Flatten(), Dense(units=units)))

def kerass(classes):
    return Builders(keras=_keras)

def pytorchs(classes):
    return Builders(torch=_torch)

def narrow(classes):
    of_three = lambda build: lambda shape, classes: build(shape, 3)
    return Builders(keras=of_three(_keras), torch=of_three(_torch))

def lazy(classes):
    return Builders(torch=_lazy)

def frozen(classes):
    return Builders(keras=lambda *_: _still(_keras(*_)), torch=lambda *_: _still(_torch(*_)))

def fails(classes):
    raise RuntimeError(f"not for {classes} classes")

def nothing(classes):
    return [classes]

def _torch(shape, classes):
    from torch import nn
    height, width, channels = shape
    count = widths_of_mine.WIDTH * height * width
    return nn.Sequential(
        nn.Conv2d(channels, widths_of_mine.WIDTH, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Flatten(), nn.Linear(count, classes),
    )

def _lazy(shape, classes):
    import torch
    module = torch.nn.Sequential(
        torch.nn.LazyConv2d(4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(classes)
    )
    module.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    return module

def _still(network):
    if hasattr(network, "requires_grad_"):
        return network.requires_grad_(False)
    network.trainable = False
    return network

def _keras(shape, classes):
    import keras
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    return keras.Sequential(layers)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current directory with the user's two modules."""
    (tmp_path / "network_of_mine.py").write_text(SOURCE)
    (tmp_path / "widths_of_mine.py").write_text("WIDTH = 4\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("network_of_mine", "widths_of_mine"):
        sys.modules.pop(name, None)


def network(framework: str, function: str, classes: int = 10) -> Network:
    made = architecture_of(f"network_of_mine:{function}", classes)
    return Network(framework, made, ImageSpec(8, 8, 1), tuple("0123456789"[:classes]))


def test_a_custom_description_is_like_any_other(here):
    made = architecture_of("network_of_mine:described", 7)
    assert isinstance(made, Architecture) and made.units == 7
    config = configure("digits", {"model.architecture": "network_of_mine:described"})
    assert config.model.architecture == "network_of_mine:described"


@pytest.mark.parametrize(
    "reference, message",
    [
        ("absent_module:built", "import of 'absent_module' .* No module named"),
        ("network_of_mine:absent", "has no function 'absent': expected one that takes the number"),
        ("network_of_mine:fails", "RuntimeError: not for 2 classes"),
        ("network_of_mine:nothing", "returned list, expected an Architecture or Builders"),
    ],
)
def test_what_is_wrong_with_the_users_function_is_said_at_once(here, reference, message):
    with pytest.raises(ConfigError, match=f"Bad value for model.architecture: .*{message}"):
        configure("digits", {"model.architecture": reference})


def test_the_loss_is_judged_by_the_true_number_of_classes(here):
    reference = {"model.architecture": "network_of_mine:one_unit_for_two"}
    given = {loss: configure("digits", reference | {"train.loss": loss}) for loss in LOSSES}
    digits = tuple("0123456789")
    assert check_classes(given["cross_entropy"], digits).units == 10
    assert check_classes(given["binary_cross_entropy"], ("no", "yes")).units == 1
    for loss, labels in (("binary_cross_entropy", digits), ("cross_entropy", ("no", "yes"))):
        with pytest.raises(ConfigError, match=f"train.loss: '{loss}' does not fit"):
            check_classes(given[loss], labels)


def test_builders_networks_are_not_trained_on_images_of_other_sizes(here):
    message = "train.progressive_resizing: 0.5: .* has a builder, whose sizes are its own"
    with pytest.raises(ConfigError, match=message):
        configure(
            "cifar10",
            {"model.architecture": "network_of_mine:built", "train.progressive_resizing": "0.5"},
        )


def test_builders_of_one_framework_are_not_trained_with_the_other(here):
    keras = {"model.architecture": "network_of_mine:kerass", "train.frameworks": "keras"}
    assert configure("digits", keras).train.frameworks == "keras"
    message = (
        "Bad value for train.frameworks: 'torch': network_of_mine:kerass has a builder for keras "
        "alone, expected train.frameworks=keras or both."
    )
    with pytest.raises(ConfigError) as caught:
        configure("digits", keras | {"train.frameworks": "torch"})
    assert str(caught.value) == message


def test_builders_of_one_framework_are_not_searched_with_the_other(here):
    reference = "model.architecture=network_of_mine:kerass"
    message = "tune.framework: 'torch': .* has a builder for keras alone: expected keras"
    with pytest.raises(ConfigError, match=message):
        tune("digits", [reference, f"root={here / 'out'}"])
    assert not (here / "out").exists()
    config = configure("digits", {"model.architecture": "network_of_mine:kerass"})
    architecture = check_classes(config, tuple("0123456789"))
    assert frameworks_of(architecture) == ("keras",)
    keras = config.tune.model_copy(update={"framework": "keras"})
    check_searched(config.model_copy(update={"tune": keras}), architecture)


def test_builders_leave_their_reference_in_network_json_and_are_called_again(here):
    described = network("torch", "built")
    assert isinstance(described.architecture, CustomNetwork)
    assert described.architecture.frameworks == ("keras", "torch")
    module = torch_model.build(described)
    assert module.training
    torch_model.save(module, described, here / "model")
    assert Network.load(here / "model") == described
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    found = torch_probabilities(torch_model.load(here / "model"), images, described)
    expected = torch_probabilities(module.eval(), images, described)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_keras_builders_network_is_exported_as_its_softmax(here):
    described = network("keras", "built")
    keras_model.save(keras_model.build(described), described, here / "model")
    model = twin.load_keras(here / "model")
    assert [w.shape for w in twin.keras_weights(model, described).values()] == [(64, 10), (10,)]
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    answer = inference(model, described.architecture).image(images)["probabilities"]
    logits = model(images.astype(np.float32)).numpy().astype(np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(answer, powers / powers.sum(1, keepdims=True), atol=1e-5)
    names = contracts.formats(described)
    assert {"saved_model", "tflite", "tflite_int8", "onnx", "onnx_int8"} <= set(names)
    assert not {"keras", "safetensors"} & set(names)  # which need the builder's own code


def test_networks_that_do_not_fit_are_refused(here):
    with pytest.raises(ValueError, match="gives a builder for torch, expected one for keras"):
        network("keras", "pytorchs")
    with pytest.raises(ValueError, match=r"from \(None, 8, 8, 1\) to \(None, 3\), expected"):
        keras_model.build(network("keras", "narrow"))
    with pytest.raises(ValueError, match=r"gives \(2, 3\) for two images, expected logits \(2, 10"):
        torch_model.build(network("torch", "narrow"))
    with pytest.raises(ValueError, match="has no parameter to train"):
        torch_model.build(network("torch", "frozen"))
    with pytest.raises(ValueError, match="has no weight to train"):
        keras_model.build(network("keras", "frozen"))


def test_lazy_layers_and_infinite_constants_of_a_pytorch_builder_are_trained(here):
    module = torch_model.build(network("torch", "lazy"))
    assert [tuple(p.shape) for p in module.parameters()][0] == (4, 1, 3, 3)
    module(torch.ones(2, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert torch_model.not_finite(module) == []
    module[0].bias.data[0] = float("nan")
    assert torch_model.not_finite(module) == ["0.bias"]


def test_an_edit_of_the_users_files_changes_the_fingerprint_and_nothing_elses(here):
    reference = "network_of_mine:built"
    assert custom_hashes("digits") == {}
    assert custom_hashes(reference).keys() == {"network_of_mine.py", "widths_of_mine.py"}
    before = fingerprint("components.training.train_tfx", architecture=reference)
    assert json.loads(before).items() >= custom_hashes(reference).items()
    (here / "widths_of_mine.py").write_text("WIDTH = 8\n")
    after = fingerprint("components.training.train_tfx", architecture=reference)
    changed = dict(json.loads(after).items() - json.loads(before).items())
    assert changed.keys() == {"widths_of_mine.py"}


def test_files_of_a_package_and_their_relative_imports_are_found(here):
    (here / "mine_package/parts").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "networks.py": "from . import blocks\nfrom .parts import head\nimport numpy\n",
        "blocks.py": "import pipeline.configuration.config\n",
        "unused.py": "",
        "parts/__init__.py": "",
        "parts/head.py": "from ..blocks import x\n",
    }.items():
        (here / "mine_package" / name).write_text(text)
    found = custom_hashes("mine_package.networks:f")
    names = ["networks.py", "blocks.py", "parts/__init__.py", "parts/head.py", "__init__.py"]
    assert found.keys() == {f"mine_package/{name}" for name in names}


def test_a_pytorch_builders_network_is_exported_verified_and_bundled_as_pytorch_itself_writes_it(
    here,
):
    """By the command, in a directory other than the project's."""
    from export.release.bundle import bundle

    described = network("torch", "pytorchs")
    torch_model.save(torch_model.build(described), described, here / "model")
    arrays = digits_arrays(here / "arrays", test=40, val=20)
    module = torch_model.load(here / "model")
    predictions = write_predictions(
        here / "predictions", arrays, lambda images: torch_probabilities(module, images, described)
    )
    values = {
        "models": {"torch": "model"},
        "arrays": "arrays",
        "predictions": {"torch": "predictions"},
        "output": "out",
        "export": {"formats": ["tflite", "onnx", "onnx_float16", "torch_program"]},
    }
    (here / "args.json").write_text(json.dumps(values))
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": python_path(), "HOME": str(here)}
    done = subprocess.run(
        [sys.executable, "-m", "export", "args.json"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(ROOT) != str(here)
    parity = json.loads((here / "out/parity.json").read_text())
    written = ("onnx", "onnx_float16", "torch_program")  # there is no twin to make TFLite of
    assert [(r["artifact"], r["batch"], r["passed"]) for r in parity] == [
        (name, batch, True) for name in written for batch in (1, 7, 64)
    ]
    release = bundle(
        here / "out/torch", here / "release", name="mine", run_id="1", arrays=arrays,
        predictions=predictions / "test.npz", metrics={}, gates=[], parity=parity,
    )  # fmt: skip
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["formats"] == list(written)
    assert manifest["files"].keys() == {
        "README.md", "contract.json", "golden.npz", "labels.txt", "model.onnx",
        "model_float16.onnx", "model.pt2", "sbom.cdx.json",
    }  # fmt: skip
