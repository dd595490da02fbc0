"""The change gate's baselines: released models themselves, measured on this run's test images."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from components.data.arrays import ImageArrays
from components.data.pack import write_description, write_shard
from components.gates import baseline
from components.gates.comparison import Comparison
from serving.contract.image_spec import ImageSpec
from serving.store.release import Release
from serving.store.store import Store
from tests.helpers.serving_fixtures import LABELS, digits, digits_release, expected, seal


def _arrays(directory, labels=LABELS) -> ImageArrays:
    """The last 300 digits as test split."""
    images, classes = digits()
    spec = ImageSpec(8, 8, 1)
    write_shard(directory / "test", 0, 300, spec, [(images[-300:], classes[-300:])])
    write_description(directory, spec, list(labels))
    return ImageArrays(directory)


@pytest.fixture
def arrays(tmp_path) -> ImageArrays:
    return _arrays(tmp_path / "arrays")


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "serving")


def publish(store: Store, directory: Path, accuracy: float, lost: int = 0) -> Release:
    """A release that never names the first `lost` digits, and whose manifest names an accuracy."""
    digits_release(directory)
    file = directory / "model.onnx"
    model = onnx.load(file)
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "bias")
    values = numpy_helper.to_array(bias).copy()
    values[:lost] -= 1000
    bias.CopyFrom(numpy_helper.from_array(values, "bias"))
    onnx.save(model, file)
    seal(directory, metrics={"accuracy": accuracy, "images": 378})
    return store.publish("digits", directory)


def right(arrays: ImageArrays, lost: int = 0) -> np.ndarray:
    """What such a release has right of the test split."""
    images, labels = digits()
    found = expected(images[-300:])
    found[:, :lost] = -1
    return found.argmax(axis=1) == labels[-300:]


def compared(store: Store, arrays: ImageArrays, new: np.ndarray, since=1) -> list[Comparison]:
    return baseline.compare(store.line("digits"), arrays, {"torch": new}, since)["torch"]


def test_the_release_is_run_on_the_same_images_and_compared_image_by_image(store, arrays, tmp_path):
    publish(store, tmp_path / "new", 0.9, lost=1)
    new, old = right(arrays), right(arrays, 1)
    (measured,) = compared(store, arrays, new)
    assert measured.accuracy == np.mean(old) and 0.7 < measured.accuracy < np.mean(new)
    assert (measured.version, measured.kind, measured.images) == (1, "current", 300)
    assert measured.only_new_right == (new & ~old).sum() > 20 and measured.only_old_right == 0
    assert (measured.released_accuracy, measured.released_images) == (0.9, 378)
    assert Comparison.from_json(json.loads(json.dumps(measured.to_json()))) == measured


def test_without_a_release_there_is_nothing_to_compare_with(store, arrays):
    assert compared(store, arrays, right(arrays)) == []


def test_with_other_classes_its_manifest_speaks(store, tmp_path):
    publish(store, tmp_path / "new", 0.4321)
    other = _arrays(tmp_path / "arrays", LABELS[:9] + ["nine"])
    (measured,) = compared(store, other, right(other))
    assert measured.accuracy == 0.4321 and "by its manifest" in measured.source
    assert measured.images == 378 and measured.only_new_right is None


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_damaged_release_is_not_run_and_does_not_stop_the_line(store, arrays, tmp_path, content):
    release = publish(store, tmp_path / "new", 0.4321)
    (release.path / "model.onnx").write_bytes(content)
    (measured,) = compared(store, arrays, right(arrays))
    assert measured.accuracy == 0.4321 and "damaged" in measured.source


def test_a_release_whose_onnx_file_no_runtime_takes_does_not_stop_it_either(
    store, arrays, tmp_path
):
    digits_release(tmp_path / "new")
    (tmp_path / "new/model.onnx").write_bytes(b"not a model")
    seal(tmp_path / "new", metrics={"accuracy": 0.4321})
    store.publish("digits", tmp_path / "new")
    (measured,) = compared(store, arrays, right(arrays))
    assert measured.accuracy == 0.4321 and "cannot be run" in measured.source
    assert measured.images is None


def test_the_best_ever_is_measured_too_where_another_is_current(store, arrays, tmp_path):
    for number, lost in enumerate([2, 0, 1, 3]):
        publish(store, tmp_path / str(number), 0.9 - lost / 10, lost)
    current, best = compared(store, arrays, right(arrays, 3))
    assert (current.version, current.only_old_right) == (4, 0)
    assert (best.version, best.kind, best.among) == (2, "best", 4)
    assert best.accuracy == np.mean(right(arrays)) and best.only_old_right > 60
    # The current one is no longer the best of those that count.
    (only,) = compared(store, arrays, right(arrays, 3), since=4)
    assert only.version == 4


def test_the_best_is_the_best_of_today_not_that_of_the_manifests(
    store, arrays, tmp_path, monkeypatch
):
    """The first test split was easy: the manifest of release 1 names what nobody reaches today."""
    monkeypatch.setattr(baseline, "RECENT", 3)
    publish(store, tmp_path / "0", 0.99, lost=4)
    publish(store, tmp_path / "1", 0.80)
    for number in (2, 3):
        publish(store, tmp_path / str(number), 0.7, lost=3)
    current, best = compared(store, arrays, right(arrays, 3))
    assert (current.version, best.version, best.among) == (4, 2, 4)


def test_what_is_damaged_of_other_classes_or_rolled_back_from_is_no_best(store, arrays, tmp_path):
    damaged = publish(store, tmp_path / "0", 0.99)
    (damaged.path / "model.onnx").write_bytes(b"")
    unreadable = publish(store, tmp_path / "1", 0.98)
    (unreadable.path / "manifest.json").write_text("{")
    publish(store, tmp_path / "2", 0.9, lost=1)
    publish(store, tmp_path / "3", 0.8, lost=2)
    publish(store, tmp_path / "4", 0.97)
    store.rollback("digits")
    current, best = compared(store, arrays, right(arrays))
    assert (current.version, best.version) == (4, 3)
