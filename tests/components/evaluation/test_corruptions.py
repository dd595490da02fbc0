"""Robustness of a real classifier of digits, asked by both frameworks about the same bytes."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from components.data.arrays import ImageArrays
from components.evaluation import keras_predict, torch_corruptions, torch_predict
from components.evaluation.corruptions import CORRUPTIONS, CorruptArgs, robustness
from components.evaluation.predictions import PredictArgs, load_predictions, save_predictions
from components.networks import keras_model, torch_model
from components.networks.description import Architecture
from components.networks.layers import Dense, Flatten
from components.networks.network import Network
from tests.helpers.images import photographs
from tests.helpers.training_data import LABELS, SPECS, digit_images

SPEC = SPECS["digits"]


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    """The digits after the first thousand as test, those before them as val."""
    directory = tmp_path_factory.mktemp("arrays")
    images, labels = digit_images(1797)
    for split, rows in (("val", slice(900, 1000)), ("test", slice(1000, None))):
        (directory / split).mkdir()
        np.save(directory / split / "images-00000.npy", images[rows])
        np.save(directory / split / "labels-00000.npy", labels[rows])
    (directory / "image_spec.json").write_text(SPEC.to_json())
    (directory / "labels.json").write_text(json.dumps(LABELS))
    return directory


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """scikit-learn's logistic regression, as a network of each framework."""
    images, labels = digit_images(900)
    flat = (images.reshape(900, -1) / 255 - SPEC.mean) / SPEC.std
    learned = LogisticRegression(max_iter=500).fit(flat, labels)
    kernel, bias = learned.coef_.T.astype(np.float32), learned.intercept_.astype(np.float32)
    architecture = Architecture(name="linear", layers=(Flatten(), Dense(units=10)))
    directory = tmp_path_factory.mktemp("models")
    of_keras = keras_model.build(Network("keras", architecture, SPEC, LABELS))
    of_keras.set_weights([kernel, bias])
    keras_model.save(of_keras, Network("keras", architecture, SPEC, LABELS), directory / "keras")
    of_torch = torch_model.build(Network("torch", architecture, SPEC, LABELS))
    of_torch.load_state_dict(
        {"01_dense.weight": of_torch_tensor(kernel.T), "01_dense.bias": of_torch_tensor(bias)}
    )
    torch_model.save(of_torch, Network("torch", architecture, SPEC, LABELS), directory / "torch")
    return directory


def of_torch_tensor(values: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))


def corrupted(arrays: Path, directory: Path, **corruptions: float) -> ImageArrays:
    args = CorruptArgs(arrays=arrays, output=directory, corruptions=corruptions or CORRUPTIONS)
    torch_corruptions.main(args)
    return ImageArrays(directory)


def predicted(framework, models: Path, arrays: Path, made: ImageArrays, directory: Path) -> Path:
    module = {"keras": keras_predict, "torch": torch_predict}[framework]
    names = ["test", *(path.name for path in made.directory.iterdir() if path.is_dir())]
    outputs = {name: directory / framework / f"{name}.npz" for name in names}
    (directory / framework).mkdir(exist_ok=True)
    module.main(
        PredictArgs(
            model_dir=models / framework,
            arrays=arrays,
            corrupted=made.directory,
            outputs=outputs,
        )
    )
    return directory / framework


def test_heavy_noise_costs_accuracy_and_both_frameworks_see_the_same_bytes(
    arrays, models, tmp_path
):
    made = corrupted(arrays, tmp_path / "made", noise=0.6, jpeg=95)
    folders = {f: predicted(f, models, arrays, made, tmp_path) for f in ("keras", "torch")}
    probabilities, labels = load_predictions(folders["torch"] / "test.npz")
    clean = (probabilities.argmax(1) == labels).mean()
    found = {framework: robustness(folder) for framework, folder in folders.items()}
    assert clean > 0.88 and found["torch"]["noise"] < clean - 0.1
    assert abs(found["torch"]["jpeg"] - clean) < 0.02
    assert found["keras"] == found["torch"]
    for name in ("noise", "jpeg"):
        # The same function of other pixels would not agree to rounding.
        both = [load_predictions(folder / f"{name}.npz")[0] for folder in folders.values()]
        np.testing.assert_allclose(*both, atol=1e-5)


def test_what_is_made_again_is_the_same_to_the_byte_and_belongs_to_the_test_images(
    arrays, tmp_path
):
    first, second = (corrupted(arrays, tmp_path / name) for name in "ab")
    test = ImageArrays(arrays).split("test")
    for name in CORRUPTIONS:
        files = [made.directory / name / "images-00000.npy" for made in (first, second)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
        split = first.split(name)
        np.testing.assert_array_equal(split.labels, test.labels)
        images, plain = (s.images(np.arange(len(test))).astype(int) for s in (split, test))
        # Moderate: something of each, and all still there.
        assert 1 < np.abs(images - plain).mean() < 64, name
        assert np.corrcoef(images.ravel(), plain.ravel())[0, 1] > 0.85, name


def test_each_corruption_does_to_a_photograph_what_its_name_says():
    image = photographs()[0][None, 100:300, 100:300].copy()

    def made(name: str) -> np.ndarray:
        return torch_corruptions.corrupt(image, name, CORRUPTIONS[name])[0].astype(float)

    plain = image[0].astype(float)
    rough = np.abs(np.diff(plain, axis=0)).mean()
    assert np.abs(np.diff(made("noise"), axis=0)).mean() > 1.2 * rough
    assert np.abs(np.diff(made("blur"), axis=0)).mean() < 0.7 * rough
    assert made("brightness").mean() > 1.1 * plain.mean()
    assert made("contrast").std() == pytest.approx(0.4 * plain.std(), rel=0.1)
    assert 0.5 < np.abs(made("jpeg") - plain).mean() < 10
    with pytest.raises(ValueError, match="unknown corruption 'fog'"):
        torch_corruptions.corrupt(image, "fog", 1.0)


def test_noise_is_another_for_every_image():
    grey = np.full((2, 8, 8, 1), 128, np.uint8)
    first, second = torch_corruptions.corrupt(grey, "noise", 0.1).astype(int)
    assert np.abs(first - second).mean() > 5


def test_a_network_that_gives_nan_is_right_about_nothing(tmp_path):
    probabilities = np.full((3, 2), np.nan, np.float32)
    save_predictions(tmp_path / "noise.npz", probabilities, np.zeros(3, np.int64))
    assert robustness(tmp_path) == {"noise": 0.0}
