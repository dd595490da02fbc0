"""Keras augmentation: drawn for every image by itself, seeded, on the scale of 0 to 255."""

import keras
import numpy as np
import pytest

from components import policy
from components.image_spec import ImageSpec
from components.keras_augment import augmenter
from tests.training_data import digit_images

COUNT = 64
OPERATIONS = [
    policy.Translate(fraction=0.2),
    policy.Rotate(fraction=0.1),
    policy.Zoom(fraction=0.3),
    policy.Brightness(fraction=0.2),
    policy.Contrast(fraction=0.2),
]


def augmented(*operations, images=None, seed=0) -> np.ndarray:
    if images is None:
        images = np.repeat(digit_images(1)[0], COUNT, axis=0)
    return keras.ops.convert_to_numpy(
        augmenter(operations, ImageSpec(*images.shape[1:]), seed)(images, training=True)
    )


def distinct(images: np.ndarray) -> int:
    return len(np.unique(images.reshape(len(images), -1), axis=0))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.kind)
def test_every_copy_of_one_image_comes_out_differently(operation):
    images = augmented(operation)
    assert images.dtype == np.float32
    assert images.shape == (COUNT, 8, 8, 1)
    assert images.min() >= 0
    assert images.max() <= 255
    assert distinct(images) > 0.9 * COUNT


def test_flip_mirrors_about_half_of_the_images():
    image = digit_images(1)[0]
    images = augmented(policy.Flip())
    mirrored = (images == image[:, :, ::-1]).all((1, 2, 3))
    assert (mirrored | (images == image).all((1, 2, 3))).all()
    assert 16 <= mirrored.sum() <= 48


def test_pad_crop_shifts_by_whole_pixels_and_fills_with_zero():
    image = digit_images(1)[0][0]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    crops = [padded[y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    images = augmented(policy.PadCrop(padding=1))
    assert all(any(np.array_equal(found, crop) for crop in crops) for found in images)
    assert distinct(images) == len(crops)


def test_brightness_multiplies_within_its_limits():
    images = augmented(
        policy.Brightness(fraction=0.2), images=np.full((COUNT, 4, 4, 3), 100, np.uint8)
    )
    assert images.min() >= 80 - 1e-3
    assert images.max() <= 120 + 1e-3
    assert np.ptp(images, axis=(1, 2, 3)).max() < 1e-3


def test_the_seed_decides_the_draws():
    first, same, other = (augmented(*OPERATIONS, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_an_empty_policy_changes_nothing_but_the_type():
    images = digit_images(4)[0]
    found = augmented(images=images)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, images)
