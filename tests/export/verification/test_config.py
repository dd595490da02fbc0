"""Of large images fewer are run, and fewer at a time."""

import pytest

from export.verification.config import ExportConfig, batch_sizes


@pytest.mark.parametrize(
    ("side", "calibration", "batches"),
    [
        (32, 512, (1, 7, 64)),
        (96, 512, (1, 7, 64)),
        (97, 32, (1, 3, 8)),
        (224, 32, (1, 3, 8)),
    ],
)
def test_there_are_fewer_images_where_they_are_large(side, calibration, batches):
    assert ExportConfig().calibration(side, side) == calibration
    assert batch_sizes(side, side) == batches


def test_what_is_asked_for_is_never_exceeded():
    assert ExportConfig(calibration_images=10).calibration(224, 224) == 10
