"""`data.limit`: so many images are drawn once, alike for both frameworks, then balanced."""

import json

import numpy as np
import pytest

from components.augmentation import augment
from components.augmentation.plan import read_class_weights, read_index, training_split
from components.augmentation.policy import AugmentConfig, Flip
from components.data.arrays import ImageArrays
from tests.helpers.training_data import write_arrays

LIMIT = 150


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> ImageArrays:
    return ImageArrays(write_arrays(tmp_path_factory.mktemp("limit") / "arrays"))


def plan(arrays, directory, balance: str, limit: int | None = LIMIT):
    directory.mkdir(exist_ok=True)
    config = AugmentConfig(torch=(Flip(),), keras=(Flip(),), balance=balance)
    augment.make_plan(arrays, config, directory, limit)
    return directory


def drawn_labels(arrays, directory) -> np.ndarray:
    split, _ = training_split(arrays, directory, "torch")
    return split.labels[read_index(directory, len(split))]


@pytest.mark.parametrize("limit", [None, 400, 1000])
def test_without_a_limit_or_with_a_large_one_all_images_are_used(arrays, tmp_path, limit):
    index = read_index(plan(arrays, tmp_path, "none", limit), 400)
    np.testing.assert_array_equal(index, np.arange(400))


def test_so_many_different_images_are_drawn_and_always_the_same(arrays, tmp_path):
    one, other = (read_index(plan(arrays, tmp_path / n, "none"), 400) for n in ("a", "b"))
    assert len(set(one.tolist())) == LIMIT
    assert one.max() > LIMIT  # not just the first ones
    np.testing.assert_array_equal(one, other)


def test_weights_are_those_of_the_drawn_images(arrays, tmp_path):
    directory = plan(arrays, tmp_path, "weights")
    labels, weights = drawn_labels(arrays, directory), read_class_weights(directory, 10)
    assert len(labels) == LIMIT
    counts = np.bincount(labels, minlength=10)
    np.testing.assert_allclose(weights, LIMIT / (10 * counts), rtol=1e-6)


def check_filled_up(arrays, directory) -> np.ndarray:
    """Every class has as many examples as the largest of the drawn images; these are all there."""
    drawn = read_index(plan(arrays, directory / "none", "none"), 400)
    largest = np.bincount(drawn_labels(arrays, directory / "none")).max()
    assert np.bincount(drawn_labels(arrays, directory)).tolist() == [largest] * 10
    balance = json.loads((directory / "balance.json").read_text())["classes"]
    assert sum(row["before"] for row in balance.values()) == LIMIT
    assert {row["after"] for row in balance.values()} == {largest}
    return drawn


def test_oversampling_repeats_drawn_images_alone(arrays, tmp_path):
    index = read_index(plan(arrays, tmp_path, "oversample"), 400)
    drawn = check_filled_up(arrays, tmp_path)
    assert set(index.tolist()) == set(drawn.tolist())


@pytest.mark.full  # copies are made by both frameworks, in processes of their own
def test_copies_are_made_of_drawn_images_alone(arrays, tmp_path):
    directory = plan(arrays, tmp_path, "augmented")
    drawn = check_filled_up(arrays, directory)
    sources = np.load(directory / "copied_rows.npy")
    assert set(sources.tolist()) <= set(drawn.tolist())
    split, originals = training_split(arrays, directory, "keras")
    index = read_index(directory, len(split))
    np.testing.assert_array_equal(index[:LIMIT], drawn)
    np.testing.assert_array_equal(index[LIMIT:], originals + np.arange(len(sources)))
    np.testing.assert_array_equal(split.labels[originals:], split.labels[sources])
