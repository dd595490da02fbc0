"""Of large images fewer are run, and fewer at a time."""

import pytest

from export.verification.config import BATCHES, ExportConfig, batch_sizes


@pytest.mark.parametrize(
    ("side", "images", "calibration", "largest"),
    [
        (32, 256, 512, 64),
        (96, 256, 512, 64),
        (97, 16, 32, 16),
        (224, 16, 32, 16),
    ],
)
def test_there_are_fewer_images_where_they_are_large(side, images, calibration, largest):
    found = ExportConfig().of_size(side, side)
    assert (found.images, found.calibration_images) == (images, calibration)
    assert batch_sizes(side, side)[:2] == BATCHES[:2]
    assert batch_sizes(side, side)[2] == largest


def test_what_is_asked_for_is_never_exceeded():
    asked = ExportConfig(images=5, calibration_images=10)
    assert asked.of_size(224, 224) == asked
