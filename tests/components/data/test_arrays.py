"""Arrays packed with a margin: training sees all of it, everything else the central crop."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from components.data.arrays import ImageArrays, Split, evenly
from components.data.pack import write_description, write_shard
from serving.contract.image_spec import ImageSpec, decode, fit_packed
from tests.helpers.images import encode, photographs

SPEC = ImageSpec(64, 64, 3, margin_height=14)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Two shards of photographs of 218x178, packed as 78x64; and the files."""
    directory = tmp_path_factory.mktemp("arrays")
    corners = [(p, top, left) for p in photographs() for top in (0, 200) for left in (0, 200, 400)]
    files = [encode(Image.fromarray(p[t : t + 218, x : x + 178]), "JPEG") for p, t, x in corners]
    arrays = np.stack([fit_packed(Image.open(io.BytesIO(file)), SPEC) for file in files])
    labels = np.arange(12) % 2
    for number, rows in enumerate(np.split(np.arange(12), [5])):
        write_shard(directory / "test", number, len(rows), SPEC, [(arrays[rows], labels[rows])])
    write_description(directory, SPEC, ["a", "b"])
    return ImageArrays(directory), arrays, files


def test_what_is_evaluated_is_what_the_server_decodes(packed):
    arrays, _, files = packed
    expected = np.stack([decode(file, arrays.spec) for file in files])
    split = arrays.split("test")
    np.testing.assert_array_equal(split.images(np.arange(12)), expected)
    batches = [images for images, _ in split.batches(7)]
    np.testing.assert_array_equal(np.concatenate(batches), expected)


@pytest.mark.parametrize(
    "height, width, expected", [(32, 32, 216), (96, 96, 24), (224, 224, 4), (3000, 2000, 1)]
)
def test_of_large_images_fewer_are_predicted_at_a_time(height, width, expected):
    assert Split(ImageSpec(height, width, 3)).at_a_time(250) == expected


def test_training_can_read_the_packed_images_in_any_order(packed):
    arrays, expected, _ = packed
    rows = np.array([11, 0, 5, 4, 0])
    found = arrays.split("test").packed(rows)
    assert found.shape == (5, 78, 64, 3)
    np.testing.assert_array_equal(found, expected[rows])


def test_another_directory_of_shards_continues_a_split(packed, tmp_path):
    arrays, expected, _ = packed
    write_shard(tmp_path, 0, 2, SPEC, [(255 - expected[:2], np.array([7, 8]))])
    split = arrays.split("test", tmp_path)
    assert len(split) == 14
    np.testing.assert_array_equal(split.labels[11:], [1, 7, 8])
    np.testing.assert_array_equal(split.packed(np.array([13, 0])), [255 - expected[1], expected[0]])


def test_rows_are_spread_from_the_first_to_the_last_without_repeating():
    rows = evenly(300, 256)
    assert (rows[0], rows[-1], len(set(rows))) == (0, 299, 256)
    assert evenly(100, 4).tolist() == [0, 33, 66, 99]
    assert evenly(3, 256).tolist() == [0, 1, 2]
    assert evenly(0, 9).tolist() == [] == evenly(5, 0).tolist()
    rows = np.arange(0)
    assert rows[evenly(len(rows), 9)].tolist() == []


def test_a_directory_without_a_description_is_refused(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps(["a"]))
    with pytest.raises(ValueError, match="holds no image_spec.json: run the pack step first"):
        ImageArrays(tmp_path)
