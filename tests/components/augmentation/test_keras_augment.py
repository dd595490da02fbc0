"""Keras augmentation: drawn for every image by itself, seeded, on the scale of 0 to 255."""

import keras
import numpy as np
import pytest

from components.augmentation.keras_augment import augmenter
from serving.contract.image_spec import ImageSpec
from tests.helpers.augmentation import (
    CASES,
    check_colours,
    check_crops,
    check_drawn_per_image,
    colours,
    packed_places,
)
from tests.helpers.training_data import digit_images

COUNT = 1000
EVERYTHING = [case.operation for case in CASES]


def augmented(*operations, images, seed=0, spec=None) -> np.ndarray:
    """Float32 (N, H, W, C) from uint8 (N, H, W, C)."""
    augment = augmenter(operations, spec or ImageSpec(*images.shape[1:]), seed)
    result = keras.ops.convert_to_numpy(augment(images, training=True))
    assert result.dtype == np.float32
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_image_of_a_batch_has_parameters_of_its_own(case):
    images = augmented(case.operation, images=case.copies(COUNT))
    check_drawn_per_image(case, case.recover(images))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_colours_change_as_grey_does_and_floats_as_integers_do(case):
    check_colours(case, augmented, np.float32)


def test_a_margin_is_cropped_at_a_place_of_each_images_own():
    spec = ImageSpec(8, 6, 1, margin_height=3, margin_width=2)
    check_crops(augmented(images=packed_places(COUNT, spec), spec=spec), spec)


def test_the_seed_decides_the_draws():
    images = digit_images(64)[0]
    first, same, other = (augmented(*EVERYTHING, images=images, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_all_operations_together_stay_between_black_and_white():
    images = augmented(*EVERYTHING, images=colours(64))
    assert images.shape == (64, 32, 32, 3)
    assert images.min() >= 0 and images.max() <= 255.001


def test_an_empty_policy_changes_nothing_but_the_type():
    images = digit_images(4)[0]
    np.testing.assert_array_equal(augmented(images=images), images)
