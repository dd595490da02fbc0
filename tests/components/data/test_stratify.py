"""Small classes get their share of each split; large ones, and later splits, are left in peace."""

import hashlib

import numpy as np
import pytest

from components.data.duplicates import Catalogue
from components.data.ingest import assign_split
from components.data.stratify import stratified
from components.sources.source import SPLITS

BLANK = [bytes(256)]
SHARES = {"test": 0.2, "val": 0.1}


def _digest(picture: object) -> str:
    return hashlib.sha256(str(picture).encode()).hexdigest()[:32]


def _catalogue(pictures: list, labels: list[int], shares: dict = SHARES) -> Catalogue:
    """Of these pictures, each in the split that its hash alone gives it."""
    digests = list(map(_digest, pictures))
    splits = [SPLITS.index(assign_split(None, digest, shares)) for digest in digests]
    return Catalogue.of(
        list(map(str, pictures)), splits, labels, digests, [0] * len(digests), BLANK * len(digests)
    )


def _stratified(catalogue: Catalogue, shares: dict = SHARES, least: int = 1) -> np.ndarray:
    return stratified(catalogue, np.zeros(len(catalogue), bool), shares, least).splits


def _counts(catalogue: Catalogue, splits: np.ndarray) -> np.ndarray:
    """(classes, 3): images of each class in train, val and test."""
    classes = catalogue.labels.max() + 1
    cells = catalogue.labels.astype(int) * 3 + splits
    return np.bincount(cells, minlength=3 * classes).reshape(classes, 3)


@pytest.mark.parametrize("per_class", [3, 4, 5, 8, 20])
def test_every_class_has_images_in_every_split_and_half_of_its_share_in_train(per_class):
    labels = [label for label in range(200) for _ in range(per_class)]
    catalogue = _catalogue(list(range(len(labels))), labels)
    counts = _counts(catalogue, _stratified(catalogue))
    assert counts.min() == 1 and counts[:, 0].min() >= min(per_class * 0.35, per_class - 2)
    assert np.array_equal(counts.sum(1), [per_class] * 200)
    if per_class < 20:
        assert _counts(catalogue, catalogue.splits).min() == 0


def test_large_classes_are_split_by_the_hash_alone():
    catalogue = _catalogue(list(range(600)), [number % 3 for number in range(600)])
    assert np.array_equal(_stratified(catalogue), catalogue.splits)


def test_what_was_in_train_stays_there_while_classes_grow_and_few_images_move():
    """Thirty classes from 4 to 40 images, one more every night."""
    before: dict[str, int] = {}
    returned = moved = 0
    for size in range(4, 41):
        pictures = [(label, number) for label in range(30) for number in range(size)]
        catalogue = _catalogue(pictures, [label for label, _ in pictures])
        now = dict(zip(catalogue.names, _stratified(catalogue).tolist()))
        returned += sum(split == 0 and now[name] > 0 for name, split in before.items())
        moved += sum(now[name] != split for name, split in before.items())
        before = now
    # Of 1,080 additions. Where the hash had left a class too few to train on, some go back later.
    assert returned <= 10 and moved <= 110


def test_copies_move_together_and_count_for_one_class():
    pictures = ["a", "a", "b", "c", "d", "d", "e", "f"]
    catalogue = _catalogue(pictures, [0, 0, 0, 0, 1, 1, 1, 1])
    splits = _stratified(catalogue)
    assert splits[0] == splits[1] and splits[4] == splits[5]
    assert _counts(catalogue, splits).min() == 1
    shared = _catalogue(["a", "b", "c", "a", "b", "c"], [0, 0, 0, 1, 1, 1])
    splits = _stratified(shared)
    assert np.array_equal(splits[:3], splits[3:]) and set(splits) == {0, 1, 2}


def test_only_what_is_carved_moves_and_what_leaves_does_not_count():
    shares = {"val": 0.1}
    digests = list(map(_digest, range(8)))
    splits = [0, 0, 0, 0, 2, 2, 0, 0]
    catalogue = Catalogue.of([""] * 8, splits, [0] * 4 + [1] * 4, digests, [0] * 8, BLANK * 8)
    drop = np.array([False] * 6 + [True, False])
    found = stratified(catalogue, drop, shares).splits
    assert sorted(found[:4]) == [0, 0, 0, 1]
    assert found[4:].tolist() == [2, 2, 0, 0]  # one image that stays cannot be in two splits
    assert stratified(catalogue, drop, {}) is catalogue


def test_as_many_as_the_gate_asks_for_where_there_are_enough():
    catalogue = _catalogue(list(range(60 + 21 + 7)), [0] * 60 + [1] * 21 + [2] * 7)
    counts = _counts(catalogue, _stratified(catalogue, least=7))
    assert counts[:2].min() >= 7 and counts[2].min() == 2
