"""All test images are held out, and of val as many as it takes to have enough."""

import numpy as np
import pytest

from components.data.arrays import ImageArrays
from export.verification import held_out
from serving.contract.image_spec import decode
from tests.helpers.export_data import digits_arrays, write_predictions


def marked(images: np.ndarray) -> np.ndarray:
    """Probabilities that tell which image they belong to."""
    sums = images.reshape(len(images), -1).astype(np.float32) @ np.arange(64, dtype=np.float32)
    return np.repeat(sums[:, None], 10, axis=1)


@pytest.fixture
def load(tmp_path):
    def load(test, val, count):
        directory = tmp_path / f"{test}-{val}"
        if not directory.exists():
            digits_arrays(directory, test, val)
            write_predictions(directory / "predictions", directory, marked)
        arrays = ImageArrays(directory)
        held = held_out.HeldOut(arrays, directory / "predictions", count)
        images = held.images(np.arange(len(held)))
        np.testing.assert_array_equal(held.probabilities, marked(images))
        assert len(held) == len(images) == len(held.labels)
        found = {}
        for name in held_out.SPLITS:
            split = arrays.split(name)
            known = {image.tobytes() for image in split.images(np.arange(len(split)))}
            found[name] = sum(image.tobytes() in known for image in images)
        return found

    return load


def test_the_whole_test_split_alone_is_used_where_it_has_enough(load):
    assert load(300, 20, 256) == {"test": 300, "val": 0}
    assert load(256, 20, 256) == {"test": 256, "val": 0}


def test_val_fills_up_what_the_test_split_lacks(load):
    assert load(200, 100, 256) == {"test": 200, "val": 56}


def test_all_of_both_are_used_where_they_have_fewer(load):
    assert load(30, 20, 256) == {"test": 30, "val": 20}
    assert load(30, 0, 256) == {"test": 30, "val": 0}


def test_no_held_out_images_at_all_are_refused(load):
    with pytest.raises(ValueError, match="splits test and val are empty"):
        load(0, 0, 256)


def test_rows_are_read_in_any_order_across_both_splits_and_as_files_too(tmp_path):
    directory = digits_arrays(tmp_path / "arrays", 9, 8)
    write_predictions(directory / "predictions", directory, marked)
    arrays = ImageArrays(directory)
    held = held_out.HeldOut(arrays, directory / "predictions", 16)
    whole = held.images(np.arange(16))
    rows = np.array([15, 0, 8, 9, 9, 3])
    np.testing.assert_array_equal(held.images(rows), whole[rows])
    for row, file in zip(rows, held.encoded(rows)):
        np.testing.assert_array_equal(decode(file, arrays.spec), whole[row])


def test_files_are_those_that_ingest_wrote_in_the_order_of_the_arrays(tmp_path):
    import tensorflow as tf

    directory = digits_arrays(tmp_path / "arrays", 7)
    write_predictions(directory / "predictions", directory, marked)
    (tmp_path / "examples/Split-test").mkdir(parents=True)
    contents = [f"file {row}".encode() * (row + 1) for row in range(7)]
    for shard, rows in enumerate((range(0, 4), range(4, 7))):
        path = tmp_path / f"examples/Split-test/data_tfrecord-{shard:05d}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in rows:
                example = tf.train.Example()
                example.features.feature["image_bytes"].bytes_list.value.append(contents[row])
                writer.write(example.SerializeToString())
    arrays = ImageArrays(directory)
    held = held_out.HeldOut(arrays, directory / "predictions", 7, tmp_path / "examples")
    rows = np.array([6, 0, 4, 3])
    assert held.encoded(rows) == [contents[row] for row in rows]
