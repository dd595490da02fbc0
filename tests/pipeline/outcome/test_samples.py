"""The samples' picture: which images are shown, and how right and wrong answers look."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.arrays import ImageArrays
from components.data.pack import write_description, write_shard
from pipeline.outcome.samples import (
    COLUMNS,
    MISTAKES,
    classes_shown,
    rows_shown,
    write_samples,
)
from serving.contract.image_spec import ImageSpec

RED, GREEN, COLOUR = (179, 38, 30), (42, 125, 70), (10, 200, 90)


def arrays(directory: Path, spec: ImageSpec, names: list[str], each: int = 2) -> ImageArrays:
    """`each` images of one colour of the first forty classes in train and in test."""
    labels = np.arange(min(40, len(names))).repeat(each)
    images = np.empty((len(labels), *spec.packed_shape), np.uint8)
    images[:] = COLOUR[: spec.channels]
    for split in ("train", "test"):
        write_shard(directory / split, 0, len(labels), spec, [(images, labels)])
    write_description(directory, spec, names)
    return ImageArrays(directory)


def answers(directory: Path, labels: np.ndarray, predicted: np.ndarray, classes: int) -> Path:
    path = directory / f"{len(list(directory.glob('*.npz')))}.npz"
    probabilities = np.full((len(labels), classes), 0.1 / classes, np.float32)
    probabilities[np.arange(len(labels)), predicted] = 0.9
    np.savez(path, probabilities=probabilities, labels=labels)
    return path


def draw(given: ImageArrays, wrong: list[list[int]]) -> np.ndarray:
    """The picture's pixels, uint8 (H, W, 3), when of each framework the rows `wrong` are."""
    labels, classes = given.split("test").labels, len(given.labels)
    files = {}
    for framework, rows in zip(("keras", "torch"), wrong):
        predicted = labels.copy()
        predicted[rows] = (predicted[rows] + 1) % classes
        files[framework] = answers(given.directory, labels, predicted, classes)
    write_samples(given, files, given.directory / "samples.png")
    with Image.open(given.directory / "samples.png") as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=-1).any())


def test_wrong_answers_are_framed_in_red_and_right_ones_are_not(tmp_path):
    given = arrays(tmp_path, ImageSpec(8, 8, 1), ["cat", "dog"])
    right = draw(given, [[], []])
    assert has(right, GREEN) and not has(right, RED)
    wrong = draw(given, [[], [3]])
    assert has(wrong, GREEN) and has(wrong, RED) and wrong.shape == right.shape
    # The frame: a line as long as an image is wide, above it and below.
    red = (wrong == RED).all(axis=-1)
    assert (red.sum(axis=1) >= 88).sum() == 4


def test_without_predictions_the_images_alone_are_shown(tmp_path):
    given = arrays(tmp_path, ImageSpec(8, 8, 3), ["cat", "dog"])
    bare = draw(given, [])
    assert not has(bare, GREEN) and not has(bare, RED)
    # Two splits of two classes with two images each, enlarged to 88 pixels.
    assert (bare == COLOUR).all(axis=-1).sum() == 8 * 88 * 88


@pytest.mark.parametrize(
    "spec",
    [
        ImageSpec(8, 8, 3),
        ImageSpec(256, 256, 3),
        ImageSpec(256, 200, 1),
        ImageSpec(8, 64, 1),
        ImageSpec(64, 8, 3),
        ImageSpec(64, 64, 3, margin_height=14, margin_width=3),
    ],
)
@pytest.mark.parametrize("classes", [2, 1000])
def test_the_picture_stays_bounded_for_any_size_and_number_of_classes(tmp_path, spec, classes):
    names = ["кошка", "قطة", "\U000e0fff", "a name of a class that is far too long to fit"]
    names = [f"{names[n % 4]} {n}" for n in range(classes)]
    picture = draw(arrays(tmp_path, spec, names, each=1), [[0], [1]])
    assert has(picture, RED)
    assert picture.shape[1] < 1100 and picture.shape[0] < 2500


def test_of_many_classes_those_with_most_mistakes_are_shown_in_order():
    labels = np.arange(40).repeat(2)
    probabilities = np.eye(50, dtype=np.float32)[labels]
    assert classes_shown(labels, {"torch": probabilities}, 50) == list(range(10))
    wrong = probabilities.copy()
    wrong[[60, 61, 20]] = np.eye(50)[0]
    assert classes_shown(labels, {"torch": wrong}, 50) == [*range(8), 10, 30]
    # Classes without a test image come last.
    assert classes_shown(labels + 10, {}, 50) == list(range(10, 20))
    assert classes_shown(labels[:4], {}, 3) == [0, 1, 2]


def test_the_most_confident_mistakes_of_any_framework_come_first_and_right_ones_follow():
    labels = np.zeros(40, np.int64)
    keras = np.tile(np.array([0.9, 0.1], np.float32), (40, 1))
    torch = keras.copy()
    for n, row in enumerate(range(5, 15)):
        (keras if n % 2 else torch)[row] = [0.4 - n / 100, 0.6 + n / 100]
    rows = rows_shown(labels, {"keras": keras, "torch": torch}, 0)
    assert rows[:MISTAKES].tolist() == [14, 13, 12, 11, 10, 9]
    assert len(rows) == COLUMNS and not set(rows[MISTAKES:]) & set(range(5, 15))
    only = rows_shown(labels[5:15], {"keras": keras[5:15], "torch": torch[5:15]}, 0)
    assert only.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert len(rows_shown(labels, {"keras": keras}, 1)) == 0


def test_predictions_of_other_images_are_refused(tmp_path):
    given = arrays(tmp_path, ImageSpec(8, 8, 1), ["cat", "dog"])
    file = answers(tmp_path, np.zeros(4, np.int64), np.zeros(4, np.int64), 2)
    with pytest.raises(ValueError, match="not those of the split test"):
        write_samples(given, {"torch": file}, tmp_path / "samples.png")
