"""Of large images fewer are run, and fewer at a time."""

import pytest

from export.verification.config import BATCHES, ExportConfig, batch_sizes


@pytest.mark.parametrize(
    ("side", "images", "calibration", "largest"),
    [
        (32, 256, 512, 64),
        (96, 256, 512, 64),
        (128, 144, 64, 16),
        (224, 47, 64, 16),
        (500, 32, 64, 16),
    ],
)
def test_numbers_of_images_fall_with_their_pixels(side, images, calibration, largest):
    found = ExportConfig().of_size(side, side)
    assert (found.images, found.calibration_images) == (images, calibration)
    assert batch_sizes(side, side)[:2] == BATCHES[:2]
    assert batch_sizes(side, side)[2] == largest


def test_what_is_asked_for_is_never_exceeded():
    asked = ExportConfig(images=5, calibration_images=10)
    assert asked.of_size(224, 224) == asked
