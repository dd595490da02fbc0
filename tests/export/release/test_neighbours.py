"""neighbours.npz is of the images that were trained on, and of the released model itself."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper

from components.base.fingerprint import ROOT
from components.data.arrays import ImageArrays
from export.release import neighbours
from export.release.neighbours import features_tensor, write_neighbours
from serving.inference.neighbours import features_of, read
from tests.helpers.export_data import digits_arrays
from tests.helpers.serving_fixtures import onnx_bytes
from tests.helpers.training_features import pixel_features


@pytest.fixture
def arrays(tmp_path):
    return digits_arrays(tmp_path / "arrays", test=20, val=5, train=40)


@pytest.fixture
def made(tmp_path, arrays):
    return pixel_features(tmp_path / "features", arrays)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(onnx_bytes())
    return tmp_path / "model.onnx"


def test_the_file_names_every_training_image_with_its_class_and_features(
    tmp_path, arrays, made, model
):
    held = ImageArrays(arrays)
    assert write_neighbours(tmp_path / "n.npz", model, held, made) == 40
    known, train = read(tmp_path / "n.npz", 10), held.split("train")
    assert known.tensor == "flat" and np.array_equal(known.labels, train.labels)
    assert known.names[3] == f"{held.labels[train.labels[3]]}/train-3.png"
    pixels = train.images(np.arange(40)).reshape(40, -1).astype(np.float64)
    largest = pixels.max(axis=1, keepdims=True)
    assert np.abs(known.features - pixels / largest * 255).max() <= 0.5


def test_of_very_many_images_some_are_kept_spread_evenly(
    tmp_path, arrays, made, model, monkeypatch
):
    monkeypatch.setattr(neighbours, "MAX_IMAGES", 4)
    monkeypatch.setattr(neighbours, "_AT_A_TIME", 3)
    assert write_neighbours(tmp_path / "n.npz", model, ImageArrays(arrays), made) == 4
    names = read(tmp_path / "n.npz", 10).names
    assert [name.partition("-")[2] for name in names] == [f"{n}.png" for n in (0, 13, 26, 39)]


def test_features_of_another_backbone_are_refused(tmp_path, arrays, made, model):
    path = made.features / "test/plain.npy"
    np.save(path, np.roll(np.load(path), 1, axis=1))
    with pytest.raises(ValueError, match=r"point elsewhere than those in .* \(cosine 0\.\d+, exp"):
        write_neighbours(tmp_path / "n.npz", model, ImageArrays(arrays), made)
    assert not (tmp_path / "n.npz").exists()


def test_features_and_names_of_other_images_are_refused(tmp_path, arrays, made, model):
    other = pixel_features(tmp_path / "other", digits_arrays(tmp_path / "fewer", 20, 5, 39))
    with pytest.raises(ValueError, match="is of 39 training images and .* expected the 40"):
        write_neighbours(tmp_path / "n.npz", model, ImageArrays(arrays), other)
    lines = made.index.read_text().splitlines()
    made.index.write_text("\n".join(lines[:-30]) + "\n")
    with pytest.raises(ValueError, match="is of 40 training images and .* of 35,"):
        write_neighbours(tmp_path / "n.npz", model, ImageArrays(arrays), made)


def test_a_model_without_a_dense_layer_has_no_features(tmp_path):
    graph = helper.make_graph([helper.make_node("Softmax", ["a"], ["b"])], "none", [], [])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="has no dense layer"):
        features_tensor(tmp_path / "model.onnx")


_EXPORT = """
import sys
from pathlib import Path
from components.networks import torch_model
from export.formats import contract, onnx, twin
from tests.helpers.photographs import pretrained_network

network = pretrained_network(sys.argv[1], classes=3, side=32)
described = contract.build(network, "x-00", 1.25)
module = torch_model.build(network)
torch_model.load_backbone(module, network)
if sys.argv[1] == "torch":
    from export.formats.torch_inference import torch_inference
    inference = torch_inference(module, network.architecture, 1.25)
    onnx.export_torch(inference, described, Path(sys.argv[2], "torch.onnx"))
else:
    from export.formats.inference import inference
    torch_model.save(module, network, sys.argv[2])
    weights = twin.load_torch_weights(Path(sys.argv[2]), network.with_framework("torch"))
    keras = inference(twin.to_keras(weights, network), network.architecture, temperature=1.25)
    onnx.export_keras(keras, described, Path(sys.argv[2], "keras.onnx"))
"""


@pytest.mark.full
def test_what_goes_into_the_last_layer_are_the_backbones_features_in_both_frameworks(tmp_path):
    import torch

    from components.networks import torch_model
    from tests.helpers.photographs import photographs, pretrained_network

    network, images = pretrained_network("torch", classes=3, side=32), photographs(32)
    module = torch_model.build(network).eval()
    torch_model.load_backbone(module, network)
    with torch.inference_mode():
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        expected = torch_model.backbone_of(module, network)(batch).numpy()
    for framework in ("torch", "keras"):
        command = [sys.executable, "-c", _EXPORT, framework, str(tmp_path)]
        subprocess.run(command, cwd=ROOT, check=True)
        model = tmp_path / f"{framework}.onnx"
        found = features_of(model, features_tensor(model), 1280)(images)
        assert np.abs(found - expected).max() < 1e-4
