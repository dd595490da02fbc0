"""Heads that did not learn from an image judge it: accuracy, and labels that look wrong."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from components.features import cross_validate as subject
from components.features.feature_arrays import FeatureArrays


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels in the place of features."""
    images, labels = load_digits(return_X_y=True)
    return images.astype(np.float32), labels.astype(np.int64)


def write_features(directory, features, labels, counts):
    start = 0
    for split, count in zip(("train", "val", "test"), counts):
        folder = directory / split
        folder.mkdir(parents=True)
        np.save(folder / "plain.npy", features[start : start + count])
        np.save(folder / "labels.npy", labels[start : start + count])
        start += count
    (directory / "features.json").write_text(json.dumps({"views": ["plain"]}))
    return FeatureArrays(directory)


def test_every_image_is_judged_by_heads_that_did_not_learn_from_it(tmp_path):
    """Random labels cannot be predicted by who has not seen them."""
    features, _ = digits()
    labels = np.random.default_rng(0).integers(0, 2, len(features))
    probabilities, folds = subject.out_of_fold(features, labels, 2)
    assert folds == 5
    assert abs((probabilities.argmax(axis=1) == labels).mean() - 0.5) < 0.05


def test_accuracy_and_probabilities_of_every_split_are_written(tmp_path):
    features, labels = digits()
    made = write_features(tmp_path / "features", features[:400], labels[:400], (280, 40, 80))
    found = subject.cross_validate(made, 10, tmp_path)
    assert json.loads((tmp_path / subject.FILE).read_text()) == found.model_dump()
    with np.load(tmp_path / subject.PROBABILITIES) as stored:
        by_split = {name: stored[name] for name in stored}
    assert {name: p.shape for name, p in by_split.items()} == {
        "train": (280, 10), "val": (40, 10), "test": (80, 10)
    }  # fmt: skip
    whole = np.concatenate([by_split[name] for name in ("train", "val", "test")])
    assert np.allclose(whole.sum(axis=1), 1, atol=1e-5)
    accuracy = (whole.argmax(axis=1) == labels[:400]).mean()
    assert found.accuracy == accuracy > 0.9
    assert found.low < accuracy < found.high
    assert found.images == 400
    assert found.doubtful == len(subject.doubtful(whole, labels[:400]))


@pytest.mark.parametrize("seed", range(3))
def test_exchanged_labels_are_found(seed):
    features, labels = digits()
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(labels), round(0.03 * len(labels)), replace=False)
    given = labels.copy()
    given[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    probabilities, _ = subject.out_of_fold(features, given, 10)
    found = subject.doubtful(probabilities, given)
    caught = np.isin(found, wrong).sum()
    assert caught >= 0.9 * len(wrong)
    assert caught >= 0.8 * len(found)
    own = probabilities[found, given[found]]
    assert (np.diff(own) >= 0).all()


def test_tiny_classes_are_judged_as_far_as_they_can_be():
    """One class has a single image, another two, and folds are no more than images."""
    features, labels = digits()
    rows = np.concatenate(
        [np.flatnonzero(labels == 0)[:3], np.flatnonzero(labels == 1)[:2],
         np.flatnonzero(labels == 2)[:1]]
    )  # fmt: skip
    probabilities, folds = subject.out_of_fold(features[rows], labels[rows], 3)
    assert folds == 3
    assert probabilities.shape == (6, 3)
    assert np.isfinite(probabilities).all()
    assert probabilities[5, 2] == 0  # nobody else is of its class
