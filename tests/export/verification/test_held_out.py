"""At least as many held-out images as asked for, while there are that many; test before val."""

import numpy as np
import pytest

from components.data.arrays import ImageArrays
from export.verification import held_out
from tests.helpers.export_data import digits_arrays, write_predictions


def marked(images: np.ndarray) -> np.ndarray:
    """Probabilities that tell which image they belong to."""
    sums = images.reshape(len(images), -1).astype(np.float32) @ np.arange(64, dtype=np.float32)
    return np.repeat(sums[:, None], 10, axis=1)


@pytest.fixture
def load(tmp_path):
    def load(test, val, count):
        directory = tmp_path / f"{test}-{val}"
        if not directory.exists():
            digits_arrays(directory, test, val)
            write_predictions(directory / "predictions", directory, marked)
        arrays = ImageArrays(directory)
        images, probabilities = held_out.load(arrays, directory / "predictions", count)
        np.testing.assert_array_equal(probabilities, marked(images))
        found = {}
        for name in held_out.SPLITS:
            split = arrays.split(name)
            known = {image.tobytes() for image in split.images(np.arange(len(split)))}
            found[name] = sum(image.tobytes() in known for image in images)
        return found

    return load


def test_the_test_split_alone_is_used_where_it_has_enough(load):
    assert load(300, 20, 256) == {"test": 256, "val": 0}
    assert load(256, 20, 256) == {"test": 256, "val": 0}


def test_val_fills_up_what_the_test_split_lacks(load):
    assert load(200, 100, 256) == {"test": 200, "val": 56}


def test_all_of_both_are_used_where_they_have_fewer(load):
    assert load(30, 20, 256) == {"test": 30, "val": 20}
    assert load(30, 0, 256) == {"test": 30, "val": 0}


def test_no_held_out_images_at_all_are_refused(load):
    with pytest.raises(ValueError, match="splits test and val are empty"):
        load(0, 0, 256)
