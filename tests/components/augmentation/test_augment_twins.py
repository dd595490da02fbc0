"""The same policy means the same in both frameworks."""

import numpy as np
import pytest
import torch
from scipy import stats

from components.augmentation import keras_augment, torch_augment
from tests.components.augmentation import test_keras_augment, test_torch_augment
from tests.helpers.augmentation import CASES, colours

TWINS = (test_keras_augment.augmented, test_torch_augment.augmented)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parameters_have_one_distribution(case):
    keras, torch = (
        case.recover(augmented(case.operation, images=case.copies(2000))) for augmented in TWINS
    )
    for one, other in zip(keras.T, torch.T):
        assert stats.ks_2samp(one.astype(float), other.astype(float)).pvalue > 0.001


@pytest.mark.parametrize("case", CASES, ids=str)
def test_borders_and_holes_are_filled_with_the_same_black(case):
    """The mean picture of many changed white images: how often each place is black."""
    white = np.full((2000, *case.image.shape), 255, np.uint8)
    keras, torch = (augmented(case.operation, images=white) for augmented in TWINS)
    assert np.abs(keras.mean(0) - torch.mean(0)).max() < 255 * 0.08
    assert keras.mean() == pytest.approx(torch.mean(), rel=0.01)
    stays_white = ("flip", "brightness", "contrast", "pad_crop 4 reflect")
    for images in (keras, torch):
        assert (images.min() > 1) == str(case).startswith(stays_white)


def test_photographs_come_out_equally_bright_and_equally_detailed():
    """Detail, and a blur that takes it away, shows in the differences of neighbouring pixels."""
    images = colours(200).repeat(10, axis=0)
    for case in CASES:
        keras, torch = (augmented(case.operation, images=images) for augmented in TWINS)
        for measure in (np.mean, np.std, lambda i: np.abs(np.diff(i, axis=2)).mean()):
            assert measure(keras) == pytest.approx(measure(torch), rel=0.03), case


@pytest.mark.parametrize("scale, size", [(0.5, (12, 16)), (0.75, (18, 24)), (0.28, (7, 9))])
def test_smaller_images_are_the_same_images(scale, size):
    images = np.float32(colours(5)[:, :24])  # 24 high, 32 wide
    keras = keras_augment.shrink(images, scale).numpy()
    torched = torch_augment.shrink(torch.from_numpy(images).permute(0, 3, 1, 2), scale)
    assert keras.shape == (5, *size, 3)
    assert keras == pytest.approx(torched.permute(0, 2, 3, 1).numpy(), abs=1e-2)
    assert keras.mean() == pytest.approx(images.mean(), rel=0.01)
