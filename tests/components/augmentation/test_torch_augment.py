"""PyTorch augmentation: drawn for every image by itself, seeded, on the scale of 0 to 255, on the
images' own device, without TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from components.augmentation import policy
from components.augmentation.torch_augment import augmenter
from components.data.arrays import ImageArrays, Split
from serving.contract.image_spec import ImageSpec
from tests.helpers.augmentation import (
    CASES,
    check_colours,
    check_crops,
    check_drawn_per_image,
    colours,
    packed_places,
)
from tests.helpers.training_data import ROOT, digit_images, run_module, write_arrays

COUNT = 1000
EVERYTHING = [case.operation for case in CASES]


def augmented(*operations, images, seed=0, spec=None) -> np.ndarray:
    """Float32 (N, H, W, C) from uint8 (N, H, W, C)."""
    torch.manual_seed(seed)
    augment = augmenter(operations, spec or ImageSpec(*images.shape[1:]))
    result = augment(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert result.dtype == torch.float32
    return result.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_image_of_a_batch_has_parameters_of_its_own(case):
    images = augmented(case.operation, images=case.copies(COUNT))
    check_drawn_per_image(case, case.recover(images))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_colours_change_as_grey_does_and_floats_as_integers_do(case):
    check_colours(case, augmented, np.float64)


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


ON_ANOTHER_DEVICE = """
import torch
from pydantic import TypeAdapter
from torch.utils._python_dispatch import TorchDispatchMode

from serving.contract.image_spec import ImageSpec
from components.augmentation.policy import Policy
from components.augmentation.torch_augment import augmenter

found = set()

class Devices(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {{}}))
        if isinstance(result, torch.Tensor):
            found.add(result.device.type)
        return result

policy = TypeAdapter(Policy).validate_python({policy})
augment = augmenter(policy, ImageSpec(32, 32, 3, margin_height=8, margin_width=4))
images = torch.empty((4, 3, 40, 36), dtype=torch.uint8, device="meta")
with Devices():
    result = augment(images)
assert result.shape == (4, 3, 32, 32), result.shape
assert found == {{"meta"}}, found
"""


def test_no_tensor_is_made_on_another_device_than_the_images_own():
    """PyTorch's device without memory stands for a GPU, on any machine; in a process of its own
    because it loads parts of PyTorch that crash where TensorFlow is loaded."""
    program = ON_ANOTHER_DEVICE.format(policy=[o.model_dump() for o in EVERYTHING])
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_as_a_command_it_stores_augmented_images_where_tensorflow_is_not_installed(tmp_path):
    arrays = ImageArrays(write_arrays(tmp_path / "arrays"))
    rows = np.array([399, 0, 0, 7])
    np.save(tmp_path / "rows.npy", rows)
    arguments = tmp_path / "args.json"
    values = {
        "arrays": str(arrays.directory),
        "rows": str(tmp_path / "rows.npy"),
        "policy": [policy.Brightness(fraction=0.2).model_dump()],
        "keep_margin": True,
        "output": str(tmp_path / "out"),
    }
    arguments.write_text(json.dumps(values))
    done = run_module(
        "components.augmentation.torch_copies", arguments, without=("tensorflow", "keras")
    )
    assert done.returncode == 0, done.stderr
    found, original = Split(arrays.spec, tmp_path / "out"), arrays.split("train")
    np.testing.assert_array_equal(found.labels, original.labels[rows])
    images, before = found.packed(np.arange(4)), original.packed(rows)
    assert images.dtype == np.uint8
    assert not np.array_equal(images[1], images[2])
    assert (images[before == 0] == 0).all()
    assert not np.array_equal(images, before)
