"""The training images that are like others, from a file that nobody vouches for."""

import os
import zipfile

import numpy as np
import pytest

from serving.contract.release_files import NEIGHBOURS
from serving.inference import neighbours
from serving.inference.errors import NotServable
from serving.inference.nearest import unit
from serving.inference.neighbours import Alike, Neighbours, directions, features_of, read, write
from serving.store.release import Release
from tests.helpers.serving_fixtures import LABELS, digits, digits_release, with_neighbours


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    directory = tmp_path_factory.mktemp("release") / "1"
    return Release("digits", 1, with_neighbours(digits_release(directory)))


def test_an_image_is_most_like_itself_and_then_like_those_of_the_smallest_angle(release):
    images, labels = digits()
    found = Neighbours(release, LABELS).alike(images[[7, 30]], 3)
    pixels = unit(images.reshape(len(images), -1))
    for row, alike in zip((7, 30), found):
        order = np.argsort(-(pixels[:100] @ pixels[row]), kind="stable")[:3]
        assert alike == tuple(Alike(f"{labels[k]}/{k}.png", str(labels[k])) for k in order)
        assert order[0] == row


def test_more_than_there_are_gives_all(release):
    (alike,) = Neighbours(release, LABELS).alike(digits()[0][:1], 1000)
    assert len(set(alike)) == 100


def test_directions_in_eight_bits_are_those_of_the_features():
    features = np.random.default_rng(0).gamma(0.3, 1, (50, 1280)).astype(np.float32)
    features[3] *= 1e-6
    cosines = (unit(features) * unit(directions(features))).sum(axis=1)
    assert cosines.min() > 0.9999
    assert not directions(np.zeros((2, 4), np.float32)).any()


def test_names_keep_the_bytes_that_are_no_text_and_a_zero_does_not_end_one(tmp_path):
    names = [os.fsdecode(b"caf\xe9.png"), "ü\n.png", "a\0b", ""]
    features = np.ones((4, 2), np.uint8)
    write(tmp_path / "n.npz", features, np.arange(4), names, "ünder/flat:0")
    known = read(tmp_path / "n.npz", 4)
    assert known.names == [*names[:2], "a\ufffdb", ""] and known.tensor == "ünder/flat:0"
    assert np.array_equal(known.features, features) and known.labels.tolist() == [0, 1, 2, 3]


def held(**changes) -> dict:
    """A good file's arrays, changed."""
    return {
        "features": np.ones((3, 64), np.uint8),
        "labels": np.zeros(3, np.int64),
        "names": np.frombuffer(b"a\0b\0c\0", np.uint8),
        "tensor": np.frombuffer(b"flat", np.uint8),
    } | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.ones((3, 64), np.float32)}, "an array is float32"),
        ({"features": np.array([{}] * 3)}, "an array is object"),
        ({"features": np.ones((0, 64), np.uint8)}, "0 rows"),
        ({"features": np.ones((3, 0), np.uint8)}, "3 rows in 0 bytes"),
        ({"labels": np.array([0, 1, 10])}, "labels up to 10 of 10"),
        ({"labels": np.array([0, -1, 1])}, "labels up to 1 of 10"),
        ({"labels": np.zeros(4, np.int64)}, r"an array is int64 \[4\], expected int64 \[3\]"),
        ({"names": np.frombuffer(b"a\0b\0", np.uint8)}, "2 names of 3 images"),
        ({"names": np.frombuffer(b"a\0b\0c\0d", np.uint8)}, "3 names of 3 images"),
        ({"tensor": np.frombuffer(b"\xff", np.uint8)}, "codec can't decode"),
        ({"tensor": np.ones(1001, np.uint8)}, "1001 rows"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(tmp_path, changes, message):
    np.savez(tmp_path / "n.npz", **held(**changes))
    with pytest.raises(NotServable, match=f"n.npz cannot be read: .*{message}"):
        read(tmp_path / "n.npz", 10)


def test_a_damaged_file_and_one_that_lacks_an_array_are_refused(tmp_path):
    path = tmp_path / "n.npz"
    np.savez(path, **{k: v for k, v in held().items() if k != "names"})
    with pytest.raises(NotServable, match="names.npy"):
        read(path, 10)
    np.savez(path, **held())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(NotServable, match="cannot be read"):
        read(path, 10)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../features.npy", b"")
    with pytest.raises(NotServable, match="expected names of arrays"):
        read(path, 10)


def test_what_a_header_announces_is_not_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "MAX_IMAGES", 2)
    np.savez(tmp_path / "n.npz", **held())
    with pytest.raises(NotServable, match="3 rows in 192 bytes, expected up to 2"):
        read(tmp_path / "n.npz", 10)


@pytest.mark.parametrize(
    ("tensor", "size", "message"),
    [
        ("absent", 64, "ONNX Runtime cannot load"),
        ("pixels", 64, r"gives \[2, 8, 8, 1\] features of 2 images, expected \[2, 64\]"),
        ("flat", 63, r"gives \[2, 64\] features of 2 images, expected \[2, 63\]"),
    ],
)
def test_a_value_that_is_not_what_the_features_are_is_refused(release, tensor, size, message):
    with pytest.raises(NotServable, match=message):
        features_of(release.path / "model.onnx", tensor, size)(digits()[0][:2])


def test_a_release_without_the_file_or_the_model_has_none(tmp_path):
    bare = Release("digits", 1, digits_release(tmp_path / "1"))
    with pytest.raises(NotServable, match=f"{NEIGHBOURS} cannot be read"):
        Neighbours(bare, LABELS)
    with_neighbours(bare.path)
    (bare.path / "model.onnx").unlink()
    with pytest.raises(NotServable, match="model.onnx cannot be read"):
        Neighbours(bare, LABELS)
