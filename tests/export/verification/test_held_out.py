"""All test images are held out, and of val as many as it takes to have enough."""

import io

import numpy as np
import pytest
from PIL import Image

from components.data.arrays import ImageArrays
from export.verification import held_out
from serving.contract.image_spec import ImageSpec, decode
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
    assert load(255, 20, 256) == {"test": 255, "val": 1}
    assert load(0, 20, 256) == {"test": 0, "val": 20}


def test_predictions_of_a_split_that_is_not_drawn_on_are_not_needed(tmp_path):
    directory = digits_arrays(tmp_path, 9, 8)
    write_predictions(directory / "predictions", directory, marked)
    (directory / "predictions/val.npz").unlink()
    assert len(held_out.HeldOut(ImageArrays(directory), directory / "predictions", 9)) == 9
    with pytest.raises(FileNotFoundError):
        held_out.HeldOut(ImageArrays(directory), directory / "predictions", 10)


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

    directory = digits_arrays(tmp_path / "arrays", 7, 2)
    write_predictions(directory / "predictions", directory, marked)
    contents = [f"file {row}".encode() * (row + 1) for row in range(9)]
    shards = {"test": (range(0, 4), range(4, 7)), "val": (range(7, 9),)}
    for split, numbers in ((s, n) for s, parts in shards.items() for n in enumerate(parts)):
        (tmp_path / f"examples/Split-{split}").mkdir(parents=True, exist_ok=True)
        path = tmp_path / f"examples/Split-{split}/data_tfrecord-{numbers[0]:05d}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in numbers[1]:
                example = tf.train.Example()
                example.features.feature["image_bytes"].bytes_list.value.append(contents[row])
                writer.write(example.SerializeToString())
    arrays = ImageArrays(directory)
    held = held_out.HeldOut(arrays, directory / "predictions", 9, tmp_path / "examples")
    rows = np.array([6, 0, 8, 4, 3, 7])
    assert held.encoded(rows) == [contents[row] for row in rows]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_made_of_an_image_has_black_margins_around_it(channels):
    spec = ImageSpec(6, 4, channels, margin_height=5, margin_width=9)
    image = np.random.default_rng(0).integers(1, 256, spec.shape, np.uint8)
    file = held_out.encode_png(image, spec)
    np.testing.assert_array_equal(decode(file, spec), image)
    packed = decode(file, ImageSpec(11, 13, channels))
    opened = Image.open(io.BytesIO(file))
    assert (opened.size, opened.mode) == ((13, 11), "L" if channels == 1 else "RGB")
    assert np.count_nonzero(packed) == image.size
