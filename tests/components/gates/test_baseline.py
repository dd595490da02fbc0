"""The change gate's baseline: the released model itself, measured on this run's test images."""

import json

import numpy as np
import pytest

from components.data.arrays import ImageArrays
from components.data.pack import write_description, write_shard
from components.gates import baseline
from serving.contract.image_spec import ImageSpec
from serving.store.store import Store
from tests.helpers.serving_fixtures import LABELS, digits, digits_release, expected


def _arrays(directory, labels=LABELS) -> ImageArrays:
    """The last 300 digits as test split."""
    images, classes = digits()
    spec = ImageSpec(8, 8, 1)
    write_shard(directory / "test", 0, 300, spec, [(images[-300:], classes[-300:])])
    write_description(directory, spec, list(labels))
    return ImageArrays(directory)


@pytest.fixture
def release(tmp_path):
    directory = digits_release(tmp_path / "new")
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(
        json.dumps(manifest | {"metrics": {"accuracy": 0.4321}})
    )
    return Store(tmp_path / "serving").publish("digits", directory)


def test_the_release_is_run_on_the_same_images(release, tmp_path):
    images, labels = digits()
    right = expected(images[-300:]).argmax(axis=1) == labels[-300:]
    measured = baseline.measure(release, _arrays(tmp_path / "arrays"))
    assert measured.accuracy == np.mean(right) and 0.8 < measured.accuracy < 1
    assert measured.version == 1 and "same test images" in measured.source


def test_with_other_classes_its_manifest_speaks(release, tmp_path):
    measured = baseline.measure(release, _arrays(tmp_path / "arrays", LABELS[:9] + ["nine"]))
    assert measured.accuracy == 0.4321 and "by its manifest" in measured.source


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_damaged_release_is_not_run_and_does_not_stop_the_line(release, tmp_path, content):
    (release.path / "model.onnx").write_bytes(content)
    measured = baseline.measure(release, _arrays(tmp_path / "arrays"))
    assert measured.accuracy == 0.4321 and "damaged" in measured.source
