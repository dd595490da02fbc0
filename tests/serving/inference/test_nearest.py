"""The nearest by the angle between features, against all angles at once."""

import numpy as np

from serving.inference import nearest as module
from serving.inference.nearest import nearest
from tests.helpers.serving_fixtures import digits


def pixels() -> np.ndarray:
    """float32 (1797, 64)."""
    images, _ = digits()
    return images.reshape(len(images), -1).astype(np.float32)


def test_the_nearest_are_those_of_the_smallest_angle(tmp_path):
    features = pixels()
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    queries = features[[5, 900]]
    found = nearest(queries, mapped, 4)
    assert found.shape == (2, 4)
    assert found[:, 0].tolist() == [5, 900]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for row, near in zip((5, 900), found):
        cosines = unit @ unit[row]
        assert set(near) == set(np.argsort(-cosines)[:4])


def test_fewer_are_given_where_there_are_fewer():
    features = pixels()
    assert nearest(features[:3], features[:2], 5).shape == (3, 2)


def test_the_nearest_in_many_parts_are_those_of_the_whole(monkeypatch):
    features = pixels()
    whole = nearest(features[:20], features, 3)
    monkeypatch.setattr(module, "_AT_A_TIME", 100)
    assert np.array_equal(nearest(features[:20], features, 3), whole)
