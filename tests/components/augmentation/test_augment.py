"""The plan: how often each class is trained on, the same for both frameworks."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from components.augmentation import augment, copies
from components.augmentation.plan import read_class_weights, read_index, read_policy, training_split
from components.augmentation.policy import AugmentConfig, Brightness, Flip, Translate
from components.base.refusal import ConfigError
from components.data.arrays import ImageArrays
from components.data.pack import write_description, write_shard
from pipeline.configuration.overrides import override
from pipeline.configuration.presets import digits
from serving.contract.image_spec import ImageSpec
from tests.helpers.augmentation import colours

pytestmark = pytest.mark.usefixtures("warm_processes")

COUNTS = (40, 7, 0, 13)  # the third class has no images
SPEC = ImageSpec(28, 30, 3, margin_height=4, margin_width=2)
BALANCES = ("none", "weights", "oversample", "augmented")
POLICY = (Flip(), Translate(fraction=0.1))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> ImageArrays:
    """Classes of different sizes, mixed, with a margin."""
    directory = tmp_path_factory.mktemp("arrays")
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS))
    images = colours(60)
    for number, rows in enumerate(np.split(np.arange(60), [25])):
        write_shard(directory / "train", number, len(rows), SPEC, [(images[rows], labels[rows])])
    write_description(directory, SPEC, ["a", "b", "c", "d"])
    return ImageArrays(directory)


def plan(arrays: ImageArrays, directory: Path, **settings) -> Path:
    directory.mkdir(exist_ok=True)
    augment.make_plan(arrays, AugmentConfig(torch=POLICY, keras=POLICY, **settings), directory)
    return directory


@pytest.fixture(scope="module")
def plans(arrays, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("plans")
    return {balance: plan(arrays, root / balance, balance=balance) for balance in BALANCES}


def examples(arrays: ImageArrays, directory: Path) -> list[int]:
    """Training examples per class, as a trainer finds them."""
    split, _ = training_split(arrays, directory, "torch")
    labels = split.labels[read_index(directory, len(split))]
    return np.bincount(labels, minlength=4).tolist()


def test_without_balance_every_image_is_trained_on_once(arrays, plans):
    directory = plans["none"]
    np.testing.assert_array_equal(read_index(directory, 60), np.arange(60))
    np.testing.assert_array_equal(read_class_weights(directory, 4), np.ones(4))
    assert examples(arrays, directory) == list(COUNTS)
    assert read_policy(directory, "keras") == read_policy(directory, "torch") == POLICY


def test_weights_are_scikit_learns_and_1_on_average(arrays, plans):
    labels = arrays.split("train").labels
    weights = read_class_weights(plans["weights"], 4)
    present = np.unique(labels)
    expected = compute_class_weight("balanced", classes=present, y=labels)
    np.testing.assert_allclose(weights[present], expected, rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)
    assert np.isfinite(weights).all()
    assert examples(arrays, plans["weights"]) == list(COUNTS)


def test_oversampling_repeats_every_image_of_a_class_equally_often(arrays, plans):
    index = read_index(plans["oversample"], 60)
    labels = arrays.split("train").labels
    assert examples(arrays, plans["oversample"]) == [40, 40, 0, 40]
    times = np.bincount(index, minlength=60)
    for label, least in ((0, 1), (1, 5), (3, 3)):  # 40 = 5 x 7 + 5 = 3 x 13 + 1
        of_class = times[labels == label]
        assert of_class.min() == least and of_class.max() <= least + 1


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_augmented_copies_fill_smaller_classes_and_are_stored(arrays, plans, framework):
    directory = plans["augmented"]
    assert examples(arrays, directory) == [40, 40, 0, 40]
    split, originals = training_split(arrays, directory, framework)
    source = arrays.split("train")
    assert originals == 60
    copied = np.load(directory / "copied_rows.npy")
    assert len(split) == 60 + len(copied) == 120
    np.testing.assert_array_equal(read_index(directory, 120), np.arange(120))
    np.testing.assert_array_equal(split.labels[60:], source.labels[copied])
    copies, originals = split.packed(np.arange(60, 120)), source.packed(copied)
    assert copies.dtype == np.uint8 and copies.shape[1:] == SPEC.packed_shape
    assert (copies != originals).any((1, 2, 3)).all()
    # Copies of one image differ from each other, and each resembles its source.
    assert len(np.unique(copies.reshape(60, -1), axis=0)) == 60
    likeness = np.abs(copies.mean((1, 2)) - originals.mean((1, 2))).mean()
    assert likeness < 0.5 * np.abs(copies.mean((1, 2)) - originals[::-1].mean((1, 2))).mean()


@pytest.mark.parametrize("balance", ["oversample", "augmented"])
def test_a_plan_made_again_is_the_same(arrays, plans, tmp_path, balance):
    one, other = plans[balance], plan(arrays, tmp_path, balance=balance)
    names = [p.relative_to(one) for p in one.rglob("*.npy")]
    assert len(names) == (2 if balance == "oversample" else 7)
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_classes_of_one_size_need_no_copies(tmp_path):
    images, labels = colours(6)[:, :28, :28], np.array([0, 1, 1, 0, 0, 1])
    spec = ImageSpec(28, 28, 3)
    write_shard(tmp_path / "train", 0, 6, spec, [(images, labels)])
    write_description(tmp_path, spec, ["a", "b"])
    arrays = ImageArrays(tmp_path)
    directory = plan(arrays, tmp_path / "plan", balance="augmented")
    split, originals = training_split(arrays, directory, "torch")
    assert len(split) == originals == 6
    np.testing.assert_array_equal(read_index(directory, 6), np.arange(6))


def test_many_copies_are_split_into_shards_in_the_same_order(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_SHARD", 25)
    monkeypatch.setattr(copies, "_BATCH", 10)
    rows = np.arange(60)[::-1]
    np.save(tmp_path / "rows.npy", rows)
    args = copies.CopyArgs(
        arrays=arrays.directory,
        rows=tmp_path / "rows.npy",
        policy=POLICY,
        keep_margin=False,
        output=tmp_path / "out",
    )
    seen = []

    def make(policy, spec):
        assert policy == POLICY and spec == arrays.spec
        return lambda images: seen.append(len(images)) or images[:, 4:, 2:] + 0.4

    copies.write_copies(args, make)
    assert [p.name for p in sorted((tmp_path / "out").glob("images*"))] == [
        f"images-{number:05d}.npy" for number in range(3)
    ]
    assert max(seen) == 10
    found = arrays.split("train", tmp_path / "out")
    np.testing.assert_array_equal(found.labels[60:], found.labels[rows])


@pytest.mark.parametrize("balance", BALANCES)
def test_balance_json_says_what_became_of_each_class(arrays, plans, balance):
    directory = plans[balance]
    found = json.loads((directory / "balance.json").read_text())
    assert found["balance"] == balance
    assert [row["before"] for row in found["classes"].values()] == list(COUNTS)
    assert [row["after"] for row in found["classes"].values()] == examples(arrays, directory)
    weights = [row["weight"] for row in found["classes"].values()]
    np.testing.assert_allclose(weights, read_class_weights(directory, 4), rtol=1e-6)


def test_copies_without_a_policy_to_make_them_are_refused_with_the_way_out():
    with pytest.raises(ConfigError, match="augment.balance: 'augmented': .* augment.torch, which"):
        override(digits(), {"augment.balance": "augmented", "augment.torch": "[]"})
    policy = '[{"kind": "brightness", "fraction": 0.1}]'
    changed = override(digits(), {"augment.balance": "augmented", "augment.torch": policy})
    assert changed.augment.torch == (Brightness(fraction=0.1),)
