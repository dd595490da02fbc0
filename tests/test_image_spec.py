import numpy as np
import pytest
from PIL import Image

from components.image_spec import ImageSpec, center_box, decode
from tests.images import encode, tile


def test_the_centre_is_cropped_to_the_aspect_ratio_before_resizing():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    image = decode(encode(Image.fromarray(wide), "PNG"), ImageSpec(10, 10, 3))
    assert image.shape == (10, 10, 3) and image.dtype == np.uint8
    assert (image == 200).all()


@pytest.mark.parametrize("height, width", [(1, 1), (7, 300), (300, 7), (33, 31)])
def test_the_box_is_inside_the_image_and_as_large_as_can_be(height, width):
    top, left, box_height, box_width = center_box(height, width, ImageSpec(8, 16, 1))
    assert top >= 0 and left >= 0 and box_height >= 1 and box_width >= 1
    assert top + box_height <= height and left + box_width <= width
    assert box_height == height or box_width == width


def test_an_image_of_the_right_size_keeps_every_pixel():
    image = tile(0, 3, 3)
    np.testing.assert_array_equal(decode(encode(image, "PNG"), ImageSpec(32, 32, 3)), image)


def test_it_survives_json_and_normalises_to_zero_mean():
    spec = ImageSpec(4, 4, 3, mean=(0.1, 0.5, 0.9), std=(0.2, 0.2, 0.5))
    assert ImageSpec.from_json(spec.to_json()) == spec
    middle = 255 * np.array(spec.mean)
    np.testing.assert_allclose(middle * spec.scale + spec.offset, 0, atol=1e-12)


def test_wrong_specs_and_wrong_bytes_are_refused():
    with pytest.raises(ValueError, match="expected 1 .* or 3"):
        ImageSpec(8, 8, 2)
    with pytest.raises(ValueError, match="mean has 1 values, expected 3"):
        ImageSpec(8, 8, 3, mean=(0.5,))
    with pytest.raises(ValueError, match="cannot decode 4 bytes: they are not an image"):
        decode(b"junk", ImageSpec(8, 8, 1))
