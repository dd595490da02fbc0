"""The trainings that benchmarks compare, each for real on a few digits."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, trainings
from pipeline.configuration.configure import configure
from serving.contract.image_spec import ImageSpec
from tests.helpers.training_data import LABELS, digit_images, write_arrays

pytestmark = pytest.mark.usefixtures("warm_processes")

COUNTS = {"train": slice(0, 192), "val": slice(192, 256), "test": slice(256, 320)}


@pytest.fixture(scope="module")
def colour(tmp_path_factory) -> Path:
    """Digits as 32x32 RGB, the tutorials' size."""
    directory = tmp_path_factory.mktemp("colour")
    images, labels = digit_images(320)
    images = np.repeat(images.repeat(4, axis=1).repeat(4, axis=2), 3, axis=3)
    for split, rows in COUNTS.items():
        (directory / split).mkdir()
        np.save(directory / split / "images-00000.npy", images[rows])
        np.save(directory / split / "labels-00000.npy", labels[rows])
    (directory / "image_spec.json").write_text(ImageSpec(32, 32, 3).to_json())
    (directory / "labels.json").write_text(json.dumps(LABELS))
    return directory


@pytest.mark.parametrize("framework, network", [("torch", "cifar10"), ("keras", "cifar10_small")])
def test_a_tutorial_loop_trains_and_says_how_fast(framework, network, colour):
    found = trainings.tutorial(framework, network, colour, images=192, threads=1)
    assert found["images_per_second"] > 0
    # The whole epoch holds what is counted of it: all but PyTorch's first step of three.
    counted = 128 if framework == "torch" else 192
    assert found["seconds_per_epoch"] >= counted / found["images_per_second"]
    assert found["accuracy"] is None


def test_the_tutorials_networks_are_the_presets_in_size():
    """158,506 with moving statistics, 75,562 without."""
    from benchmarks import tutorial_torch

    big, small = tutorial_torch.Cifar10(), tutorial_torch.Cifar10Small()
    state = big.state_dict().items()
    counted = sum(t.numel() for name, t in state if not name.endswith("num_batches_tracked"))
    assert counted == 158_506
    assert sum(parameter.numel() for parameter in small.parameters()) == 75_562


def test_keras_tutorials_networks_are_the_presets_in_size():
    import keras

    from benchmarks import tutorial_keras

    big = keras.Sequential([keras.Input((32, 32, 3)), *tutorial_keras.cifar10()])
    small = keras.Sequential([keras.Input((32, 32, 3)), *tutorial_keras.cifar10_small()])
    assert big.count_params() == 158_506
    assert sum(np.prod(weight.shape) for weight in small.trainable_weights) == 75_562


def test_a_training_s_record_holds_what_the_table_needs(tmp_path):
    arrays = write_arrays(tmp_path / "arrays", train=400, held_out=200)
    (arrays / "test").symlink_to(arrays / "val")
    config = configure(
        "digits",
        {"train.epochs": "6", "train.threads": "1", "augment.torch": '[{"kind": "flip"}]'},
    )
    key = accuracy.Key("digits", "torch", 3, "recipe")
    record = accuracy.measure(key, config, arrays, tmp_path / "run")
    assert record.items() >= dataclasses.asdict(key).items()
    assert record["epochs"] == 6
    # The test split is the validation split here, and mirrored digits are harder.
    assert record["accuracy"] == pytest.approx(record["val_accuracy"], abs=0.02) and (
        record["accuracy"] > 0.5
    )
    assert 0 < record["mirrored_seconds"] < record["seconds"] + 60
    straight, mirrored = (np.load(tmp_path / f"run/{name}.npz") for name in ("test", "mirrored"))
    mean = (straight["probabilities"] + mirrored["probabilities"]) / 2
    assert record["mirrored"] == (mean.argmax(1) == straight["labels"]).mean()
    assert record["mirrored"] != (mirrored["probabilities"].argmax(1) == straight["labels"]).mean()
    (left,) = (tmp_path / "run").glob("*train_torch.args.json")
    arguments = json.loads(left.read_text())
    assert arguments["train"]["seed"] == 3
    accuracy.append(tmp_path / "accuracy.jsonl", record)
    assert accuracy.finished(accuracy.read(tmp_path / "accuracy.jsonl"), key)

    # Where a training has ended it is not repeated, with another recipe it is.
    before = (tmp_path / "run/model/model.safetensors").stat().st_mtime_ns
    again = accuracy.measure(key, config, arrays, tmp_path / "run")
    assert again["accuracy"] == record["accuracy"] and again["result"] == record["result"]
    assert (tmp_path / "run/model/model.safetensors").stat().st_mtime_ns == before
    shorter = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})})
    assert accuracy.measure(key, shorter, arrays, tmp_path / "run")["epochs"] == 1
