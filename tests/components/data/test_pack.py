import numpy as np
import pytest

from components.data.arrays import ImageArrays
from components.data.pack import ChannelSums, write_description, write_shard
from serving.contract.image_spec import ImageSpec
from tests.helpers.images import photographs

SPEC = ImageSpec(16, 16, 3)


def _tiles(count: int) -> np.ndarray:
    """uint8 (count, 16, 16, 3) cut from a photograph."""
    pixels = photographs()[0][:416, :640].reshape(26, 16, 40, 16, 3).swapaxes(1, 2)
    return pixels.reshape(-1, 16, 16, 3)[:count]


@pytest.fixture
def packed(tmp_path):
    images, labels = _tiles(70), np.arange(70) % 3
    sums = ChannelSums()
    for number, rows in enumerate(np.split(np.arange(70), [30])):
        batches = ((images[part], labels[part]) for part in np.array_split(rows, 4))
        sums = sums.merge(write_shard(tmp_path / "train", number, len(rows), SPEC, batches))
    write_description(tmp_path, sums.normalise(SPEC), ["a", "b", "c"])
    return ImageArrays(tmp_path), images, labels


def test_images_come_back_across_shards_in_any_order(packed):
    arrays, images, labels = packed
    split = arrays.split("train")
    rows = np.array([69, 0, 31, 30, 29, 0])
    assert len(split) == 70
    np.testing.assert_array_equal(split.images(rows), images[rows])
    np.testing.assert_array_equal(split.labels, labels)
    together = np.concatenate([batch for batch, _ in split.batches(32)])
    np.testing.assert_array_equal(together, images)


def test_mean_and_std_are_those_of_the_pixels(packed):
    arrays, images, _ = packed
    values = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(arrays.spec.mean, values.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(arrays.spec.std, values.std(axis=0), rtol=1e-9)


def test_a_constant_channel_keeps_a_finite_scale():
    sums = ChannelSums()
    sums.add(np.full((2, 4, 4, 1), 7, np.uint8))
    assert sums.normalise(ImageSpec(4, 4, 1)).std == (1.0,)


def test_a_short_shard_is_an_error_and_leaves_no_images_file(tmp_path):
    with pytest.raises(ValueError, match="got 5 images, expected 9"):
        write_shard(tmp_path, 0, 9, SPEC, [(_tiles(5), np.zeros(5, np.int64))])
    assert not list(tmp_path.glob("images-*.npy"))
