"""Features of a frozen backbone: the same for both frameworks, of each image once."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from components.augmentation.policy import Brightness, Flip, Policy
from components.base.process import run_module
from components.data.arrays import ImageArrays
from components.features.extract import FeatureArgs, views_of
from components.features.feature_arrays import DRAWN, MIRRORED, PLAIN, FeatureArrays
from components.networks import torch_model
from components.networks.named_network import network_of
from serving.contract.image_spec import ImageSpec
from tests.helpers.training_data import digit_images

pytestmark = pytest.mark.usefixtures("warm_processes")

SPEC = ImageSpec(32, 32, 3)
LABELS = tuple("0123456789")
COUNTS = {"train": 12, "val": 4, "test": 3}


def write_arrays(directory: Path, skip: int = 0, train: int = COUNTS["train"]) -> Path:
    """Digits as RGB images of 32x32, from number `skip` on."""
    images, labels = digit_images(skip + sum(COUNTS.values()) + train)
    enlarged = images[skip:].repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3)
    start = 0
    for split, count in (COUNTS | {"train": train}).items():
        (directory / split).mkdir(parents=True)
        rows = slice(start, start + count)
        np.save(directory / split / "images-00000.npy", enlarged[rows])
        np.save(directory / split / "labels-00000.npy", labels[skip:][rows])
        start += count
    (directory / "image_spec.json").write_text(SPEC.to_json())
    (directory / "labels.json").write_text(json.dumps(LABELS))
    return directory


def extract(root: Path, name: str, arrays: Path, policy: Policy, **more: object) -> FeatureArrays:
    arguments = FeatureArgs(
        arrays=arrays,
        policy=policy,
        architecture="efficientnet_lite0",
        output=root / name,
        threads=1,
        **more,
    )
    (root / name).mkdir()
    module = "components.features.torch_features"
    run_module(module, arguments, root / name, seconds=600, imports="torch")
    return FeatureArrays(root / name)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    return write_arrays(tmp_path_factory.mktemp("arrays") / "arrays")


@pytest.fixture(scope="module")
def features(tmp_path_factory, arrays, warm_processes) -> FeatureArrays:
    root = tmp_path_factory.mktemp("features")
    return extract(root, "features", arrays, (Flip(), Brightness(fraction=0.2)), code="a")


def of_torch(images: np.ndarray) -> np.ndarray:
    """By the whole PyTorch network, without ONNX Runtime."""
    network = network_of("efficientnet_lite0", SPEC, LABELS, "torch")
    model = torch_model.build(network).eval()
    torch_model.load_backbone(model, network)
    with torch.inference_mode():
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        return torch_model.backbone_of(model, network)(batch).numpy()


def test_views_follow_from_the_policy():
    assert views_of((), SPEC) == (PLAIN,)
    assert views_of((Flip(),), SPEC) == (PLAIN, MIRRORED)
    assert views_of((Brightness(fraction=0.1),), SPEC) == (PLAIN, *DRAWN)
    with_margin = dataclasses.replace(SPEC, margin_width=4)
    assert views_of((Flip(),), with_margin) == (PLAIN, MIRRORED, *DRAWN)


def test_features_are_those_of_the_backbone_in_pytorch(arrays, features):
    split = ImageArrays(arrays).split("train")
    rows = np.arange(len(split))
    plain, mirrored = (features.split("train", (view,)) for view in (PLAIN, MIRRORED))
    assert plain.size == 1280
    assert np.abs(plain.images(rows) - of_torch(split.images(rows))).max() < 1e-4
    there = np.ascontiguousarray(split.images(rows)[:, :, ::-1])
    assert np.abs(mirrored.images(rows) - of_torch(there)).max() < 1e-4


def test_drawn_views_differ_from_the_images_and_from_each_other(features):
    found = [features.split("train", (view,)).images(np.arange(12)) for view in (PLAIN, *DRAWN)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(found[one] - found[other]).max() > 0.01


def test_held_out_images_are_seen_as_they_are_alone(features):
    for split in ("val", "test"):
        assert len(features.split(split)) == COUNTS[split]
        assert not (features.directory / split / f"{MIRRORED}.npy").exists()


def test_how_many_images_the_backbone_saw_and_how_long_is_written_beside(features):
    speed = json.loads((features.directory / "speed.json").read_text())
    assert speed["images"] == 4 * COUNTS["train"] + COUNTS["val"] + COUNTS["test"]
    assert speed["seconds"] > 0


def test_training_rows_are_those_of_the_index_in_every_view(features):
    split, rows = features.training(np.array([3, 3, 5]))
    assert rows.tolist() == [3, 3, 5, 15, 15, 17, 27, 27, 29, 39, 39, 41]
    assert split.labels[rows].tolist() == 4 * split.labels[[3, 3, 5]].tolist()
    one = features.split("train", (DRAWN[1],)).images(np.array([5]))
    assert np.array_equal(split.images(np.array([41])), one)


def test_features_of_known_pixels_are_taken_over_and_new_images_are_added(
    tmp_path, arrays, features
):
    """Marks what was known, as what is computed anew would be the same."""
    for path in features.directory.glob("*/*.npy"):
        if path.stem in (PLAIN, MIRRORED):
            marked = np.load(path) + 1
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            np.save(tmp_path / path.parent.name / path.name, marked)
        else:
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "features.json").write_text((features.directory / "features.json").read_text())
    more = write_arrays(tmp_path / "more", skip=2)
    found = extract(tmp_path, "again", more, (Flip(),), before=tmp_path, code="a")
    known = features.split("train", (PLAIN,)).images(np.arange(2, 12)) + 1
    own = found.split("train", (PLAIN,))
    assert np.array_equal(own.images(np.arange(10)), known)
    # Of val's first two, as the train split begins two images later.
    moved = features.split("val").images(np.arange(2)) + 1
    assert np.array_equal(own.images(np.arange(10, 12)), moved)
    last = ImageArrays(more).split("test")
    # Two of test, and those of val as mirrored ones.
    assert json.loads((found.directory / "speed.json").read_text())["images"] == 4
    new = of_torch(last.images(np.arange(1, 3)))
    assert np.abs(found.split("test").images(np.arange(1, 3)) - new).max() < 1e-4


@pytest.mark.parametrize("damage", ["code", "torn"])
def test_features_of_other_code_or_torn_ones_are_made_anew(tmp_path, arrays, features, damage):
    before = tmp_path / "before"
    for path in features.directory.rglob("*.*"):
        (before / path.relative_to(features.directory)).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy" and path.stem == PLAIN:
            np.save(before / path.relative_to(features.directory), np.load(path) + 1)
        else:
            (before / path.relative_to(features.directory)).write_bytes(path.read_bytes())
    if damage == "torn":
        plain = before / "train" / f"{PLAIN}.npy"
        plain.write_bytes(plain.read_bytes()[:-100])
    code = "b" if damage == "code" else "a"
    found = extract(tmp_path, "again", arrays, (), before=before, code=code)
    rows = np.arange(COUNTS["train"])
    expected = features.split("train").images(rows)
    assert np.abs(found.split("train").images(rows) - expected).max() < 1e-4
