"""The TensorFlow graph and the Pillow path are one contract."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.data.transform_tfx import preprocessing_fn
from serving.contract.image_spec import ImageSpec, boxes, decode, fit_packed
from tests.helpers.images import encode, photographs, tile


def _graph(data: list[bytes], spec: ImageSpec) -> np.ndarray:
    inputs = {"image_bytes": tf.constant(data)[:, None]}
    return preprocessing_fn(inputs, {"image_spec": spec.to_json()})["image"].numpy()


def _files(mode: str) -> list[bytes]:
    images = [tile(p, 1, 2, 48, 48).convert(mode) for p in (0, 1)]
    options = [("PNG", {}), ("JPEG", {"quality": 85}), ("JPEG", {"quality": 95, "subsampling": 0})]
    return [encode(image, format, **o) for image in images for format, o in options]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decoding_agrees_with_pillow_bit_for_bit(mode, channels):
    spec = ImageSpec(48, 48, channels)
    files = _files(mode)
    expected = np.stack([decode(data, spec) for data in files])
    np.testing.assert_array_equal(_graph(files, spec), expected)


@pytest.mark.parametrize("height, width", [(20, 20), (33, 17), (64, 96)])
def test_cropping_and_resizing_agree_within_one_grey_level(height, width):
    spec = ImageSpec(height, width, 3)
    files = _files("RGB")
    expected = np.stack([decode(data, spec) for data in files]).astype(np.float32)
    assert np.abs(_graph(files, spec) - expected).max() <= 1


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_every_fit_agrees_within_one_grey_level_on_images_of_every_shape(fit):
    """Portraits, landscapes, lines of one pixel, images smaller than the array and of its size."""
    shapes = [
        (427, 640),
        (401, 90),
        (33, 31),
        (31, 33),
        (24, 40),
        (5, 3),
        (1, 1),
        (1, 200),
        (200, 1),
    ]
    images = [Image.fromarray(photographs()[1][:h, -w:]) for h, w in shapes]
    for channels, mode in ((3, "RGB"), (1, "RGB"), (3, "L")):
        spec = ImageSpec(20, 36, channels, margin_height=4, margin_width=4, fit=fit)
        modal = [image.convert(mode) for image in images]
        expected = np.stack([fit_packed(image, spec) for image in modal]).astype(np.float32)
        found = _graph([encode(image, "PNG") for image in modal], spec)
        assert np.abs(found - expected).max() <= 1
        np.testing.assert_array_equal(found[4], expected[4])  # 24 x 40 already


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    target=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    fit=st.sampled_from(["crop", "pad"]),
)
def test_boxes_are_those_of_the_contract_to_the_pixel(height, width, target, fit):
    """A white image on black: where it is white, and a picture cut a pixel aside would be grey."""
    spec = ImageSpec(*target, 1, fit=fit)
    (top, left, rows, columns), _ = boxes(height, width, spec)
    image = np.zeros((height, width), np.uint8)
    image[top : top + rows, left : left + columns] = 255
    picture = Image.fromarray(image)
    found = _graph([encode(picture, "PNG")], spec)[0]
    np.testing.assert_array_equal(found, fit_packed(picture, spec))


def test_with_a_margin_the_packed_size_comes_out_within_one_grey_level():
    spec = ImageSpec(64, 64, 3, margin_height=14)
    portraits = [
        Image.fromarray(p[:218, left : left + 178]) for p in photographs() for left in (0, 200)
    ]
    expected = np.stack([fit_packed(p, spec) for p in portraits]).astype(np.float32)
    found = _graph([encode(p, "PNG") for p in portraits], spec)
    assert found.shape == (4, 78, 64, 3)
    assert np.abs(found - expected).max() <= 1


def test_the_result_holds_whole_numbers_from_0_to_255():
    images = _graph(_files("RGB"), ImageSpec(16, 16, 3))
    assert images.dtype == np.float32 and images.shape == (6, 16, 16, 3)
    assert (images == np.round(images)).all() and images.min() >= 0 and images.max() <= 255


def test_alpha_is_dropped_like_pillow_does():
    image = tile(0, 2, 2).convert("RGBA")
    image.putalpha(100)
    data, spec = encode(image, "PNG"), ImageSpec(32, 32, 3)
    np.testing.assert_array_equal(_graph([data], spec)[0], decode(data, spec))


def test_anything_but_jpeg_and_png_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        _graph([b"not an image"], ImageSpec(8, 8, 1))
