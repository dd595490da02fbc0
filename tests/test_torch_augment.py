"""PyTorch augmentation: drawn for every image by itself, seeded, on the scale of 0 to 255."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from components import policy
from components.image_spec import ImageSpec
from components.torch_augment import augmenter
from tests.training_data import digit_images, run_module, write_arrays, write_plan

COUNT = 64
OPERATIONS = [
    policy.Translate(fraction=0.2),
    policy.Rotate(fraction=0.1),
    policy.Zoom(fraction=0.3),
    policy.Brightness(fraction=0.2),
    policy.Contrast(fraction=0.2),
]


def augmented(*operations, images=None, seed=0) -> np.ndarray:
    """(N, H, W, C) like the argument, which defaults to copies of one digit."""
    if images is None:
        images = np.repeat(digit_images(1)[0], COUNT, axis=0)
    torch.manual_seed(seed)
    augment = augmenter(operations, ImageSpec(*images.shape[1:]))
    return augment(torch.from_numpy(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()


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
    image = digit_images(1)[0].astype(np.float32)
    images = augmented(policy.Flip())
    mirrored = np.isclose(images, image[:, :, ::-1], atol=1e-3).all((1, 2, 3))
    assert (mirrored | np.isclose(images, image, atol=1e-3).all((1, 2, 3))).all()
    assert 16 <= mirrored.sum() <= 48


def test_pad_crop_shifts_by_whole_pixels_and_fills_with_zero():
    image = digit_images(1)[0][0]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    crops = [padded[y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    images = augmented(policy.PadCrop(padding=1))
    assert all(any(np.allclose(found, crop, atol=1e-3) for crop in crops) for found in images)
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


def test_the_preview_shows_every_class_beside_eight_variants_without_tensorflow(tmp_path):
    arguments = tmp_path / "args.json"
    arrays, plan = write_arrays(tmp_path / "arrays"), write_plan(tmp_path / "plan")
    arguments.write_text(
        json.dumps({"arrays": str(arrays), "plan": str(plan), "output": str(tmp_path)})
    )
    done = run_module("components.torch_augment", arguments, without=("tensorflow", "keras"))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "preview.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[0] == 10 * (8 * 12 + 4)
    columns = pixels[2:98, -9 * 100 - 8 :]  # the first row's nine tiles
    assert all((columns[:, 100 * n : 100 * n + 90] < 128).any() for n in range(9))
