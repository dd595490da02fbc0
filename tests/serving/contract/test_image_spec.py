import dataclasses
import zlib

import numpy as np
import pytest
from PIL import Image

from serving.contract.image_spec import (
    ImageSpec,
    boxes,
    center_box,
    crop_center,
    decode,
    fit_packed,
)
from tests.helpers.crafted import ihdr, png_of
from tests.helpers.images import encode, photographs, tile


def test_the_centre_is_cropped_to_the_aspect_ratio_before_resizing():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    image = decode(encode(Image.fromarray(wide), "PNG"), ImageSpec(10, 10, 3))
    assert image.shape == (10, 10, 3) and image.dtype == np.uint8
    assert (image == 200).all()


@pytest.mark.parametrize("height, width", [(1, 1), (7, 300), (300, 7), (33, 31)])
def test_the_box_is_inside_the_image_and_as_large_as_can_be(height, width):
    top, left, box_height, box_width = center_box(height, width, 8, 16)
    assert top >= 0 and left >= 0 and box_height >= 1 and box_width >= 1
    assert top + box_height <= height and left + box_width <= width
    assert box_height == height or box_width == width


@pytest.mark.parametrize(
    "height, width, box",
    [
        (100, 300, (0, 50, 100, 200)),
        (100, 301, (0, 50, 100, 200)),
        (100, 303, (0, 51, 100, 200)),
        (300, 100, (125, 0, 50, 100)),
        (303, 100, (126, 0, 50, 100)),
        (100, 200, (0, 0, 100, 200)),
        (7, 15, (0, 0, 7, 14)),
        (8, 15, (0, 0, 7, 15)),
        (1000, 1, (499, 0, 1, 1)),
        (1, 1000, (0, 499, 1, 2)),
    ],
)
def test_the_box_has_the_packed_shapes_aspect_ratio_and_lies_in_the_middle(height, width, box):
    assert center_box(height, width, 8, 16) == box
    for spec in (ImageSpec(8, 16, 1), ImageSpec(8, 14, 1, margin_width=2, margin_height=0)):
        assert boxes(height, width, spec) == (box, (0, 0, 8, 16))


def test_a_box_that_would_be_less_than_a_pixel_wide_is_one():
    assert center_box(1, 1000, 100, 1) == (0, 499, 1, 1)
    assert center_box(1000, 1, 1, 100) == (499, 0, 1, 1)


def test_a_box_is_of_whole_pixels():
    assert center_box(5, 100, 3, 4) == (0, 47, 5, 6)
    assert center_box(100, 5, 4, 3) == (47, 0, 6, 5)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_pixels_are_those_of_an_antialiased_bilinear_filter(channels, mode):
    photograph = Image.fromarray(photographs()[0][:320, :320])
    small = photograph.convert(mode).resize((40, 40), Image.Resampling.BILINEAR)
    expected = np.asarray(small).reshape(40, 40, channels)
    decoded = decode(encode(photograph, "PNG"), ImageSpec(40, 40, channels))
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_an_image_of_the_right_size_keeps_every_pixel_whatever_the_fit(fit):
    image, spec = tile(0, 3, 3), ImageSpec(32, 32, 3, fit=fit)
    np.testing.assert_array_equal(decode(encode(image, "PNG"), spec), image)
    packed = dataclasses.replace(spec, height=30, margin_height=2)
    np.testing.assert_array_equal(decode(encode(image, "PNG"), packed), np.asarray(image)[1:31])


def test_a_stretched_image_is_seen_whole_and_fills_the_array():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 30:] = 200
    image = decode(encode(Image.fromarray(wide), "PNG"), ImageSpec(10, 12, 3, fit="stretch"))
    assert (image[:, :5] == 0).all() and (image[:, 7:] == 200).all()
    assert boxes(20, 60, ImageSpec(10, 12, 3, fit="stretch")) == ((0, 0, 20, 60), (0, 0, 10, 12))


@pytest.mark.parametrize(
    "height, width, box",
    [
        (20, 60, (3, 0, 4, 12)),
        (60, 20, (0, 4, 10, 3)),
        (20, 24, (0, 0, 10, 12)),
        (100, 99, (0, 1, 10, 9)),
        (31, 60, (2, 0, 6, 12)),
        (500, 1, (0, 5, 10, 1)),
        (1, 500, (4, 0, 1, 12)),
        (1, 1, (0, 1, 10, 10)),
    ],
)
def test_a_padded_image_is_seen_whole_in_the_middle_of_black(height, width, box):
    spec = ImageSpec(10, 12, 3, fit="pad")
    assert boxes(height, width, spec) == ((0, 0, height, width), box)
    picture = Image.new("RGB", (width, height), (90, 200, 40))
    image = decode(encode(picture, "PNG"), spec)
    top, left, box_height, box_width = box
    inside = np.zeros((10, 12), bool)
    inside[top : top + box_height, left : left + box_width] = True
    assert (image[inside] == (90, 200, 40)).all()
    assert (image[~inside] == 0).all()


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_pixels_of_another_fit_are_pillows_too(fit):
    photograph = Image.fromarray(photographs()[0][:300, :400])
    spec = ImageSpec(40, 40, 3, fit=fit)
    size = {"stretch": (40, 40), "pad": (40, 30)}[fit]
    expected = np.zeros((40, 40, 3), np.uint8)
    top = (40 - size[1]) // 2
    expected[top : top + size[1]] = photograph.resize(size, Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(decode(encode(photograph, "PNG"), spec), expected)


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_an_image_is_turned_upright_before_it_is_fitted(fit):
    spec, photograph = ImageSpec(24, 36, 1, fit=fit), Image.fromarray(photographs()[1][:90, :200])
    lying = photograph.transpose(Image.Transpose.ROTATE_90)
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    np.testing.assert_array_equal(
        decode(encode(lying, "PNG", exif=exif), spec), decode(encode(photograph, "PNG"), spec)
    )


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_margins_are_cut_off_what_was_fitted_to_the_packed_size(fit):
    photograph = encode(Image.fromarray(photographs()[0][:90, :200]), "PNG")
    packed = decode(photograph, ImageSpec(25, 44, 3, fit=fit))
    found = decode(photograph, ImageSpec(20, 40, 3, margin_height=5, margin_width=4, fit=fit))
    np.testing.assert_array_equal(found, packed[2:22, 2:42])


def test_a_margin_is_packed_and_cropped_off_centrally():
    spec = ImageSpec(64, 64, 3, margin_height=14)
    photograph = Image.fromarray(photographs()[0][:218, :178])
    packed = fit_packed(photograph, spec)
    assert packed.shape == spec.packed_shape == (78, 64, 3)
    # The packed picture is what a spec of that size without a margin gives.
    np.testing.assert_array_equal(packed, decode(encode(photograph, "PNG"), ImageSpec(78, 64, 3)))
    centre = decode(encode(photograph, "PNG"), spec)
    np.testing.assert_array_equal(centre, packed[7:71])
    np.testing.assert_array_equal(crop_center(packed[None], spec), centre[None])


@pytest.mark.parametrize("margin_height, margin_width", [(3, 0), (0, 1), (5, 2)])
def test_an_odd_margin_leaves_its_smaller_half_above_and_left(margin_height, margin_width):
    spec = ImageSpec(6, 4, 1, margin_height=margin_height, margin_width=margin_width)
    places = np.arange(np.prod(spec.packed_shape), dtype=np.uint8).reshape(spec.packed_shape)
    top, left = margin_height // 2, margin_width // 2
    cropped = crop_center(places, spec)
    assert cropped.shape == spec.shape
    assert cropped[0, 0] == places[top, left]


def test_a_spec_written_before_there_were_margins_still_loads():
    old = '{"channels": 1, "height": 8, "mean": [0.3], "std": [0.4], "width": 8}'
    spec = ImageSpec.from_json(old)
    assert spec.packed_shape == spec.shape == (8, 8, 1)


def test_a_spec_written_before_there_was_a_fit_crops_and_one_that_crops_is_written_as_then():
    old = (
        '{"channels": 1, "height": 8, "margin_height": 0, "margin_width": 0, "mean": [0.3], '
        '"std": [0.4], "width": 8}'
    )
    spec = ImageSpec.from_json(old)
    assert spec.fit == "crop" and spec.to_json() == old
    padded = dataclasses.replace(spec, fit="pad")
    assert padded.to_dict() == spec.to_dict() | {"fit": "pad"}
    assert ImageSpec.from_json(padded.to_json()) == padded


def test_without_statistics_a_value_is_only_scaled():
    spec = ImageSpec(8, 8, 3)
    assert (spec.mean, spec.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert spec.scale == (1 / 255,) * 3 and spec.offset == (0.0,) * 3
    assert (spec.margin_height, spec.margin_width) == (0, 0)
    assert ImageSpec(8, 8, 1, (0,), (2,)).to_json() == (
        '{"channels": 1, "height": 8, "margin_height": 0, "margin_width": 0, "mean": [0.0], '
        '"std": [2.0], "width": 8}'
    )


def test_it_survives_json_and_normalises_to_zero_mean():
    spec = ImageSpec(4, 4, 3, (0.1, 0.5, 0.9), (0.2, 0.2, 0.5), margin_width=3)
    assert ImageSpec.from_json(spec.to_json()) == spec
    middle = 255 * np.array(spec.mean)
    assert ImageSpec.from_dict(spec.to_dict()) == spec
    np.testing.assert_allclose(middle * spec.scale + spec.offset, 0, atol=1e-12)


def test_wrong_specs_and_wrong_bytes_are_refused():
    with pytest.raises(ValueError, match="expected 1 .* or 3"):
        ImageSpec(8, 8, 2)
    with pytest.raises(ValueError, match="margins are -1x0, expected none below 0"):
        ImageSpec(8, 8, 1, margin_height=-1)
    with pytest.raises(ValueError, match="mean has 1 values, expected 3"):
        ImageSpec(8, 8, 3, mean=(0.5,))
    for height, width in ((0, 8), (8, 0)):
        with pytest.raises(ValueError, match=f"^size is {height}x{width}, expected at least 1x1.$"):
            ImageSpec(height, width, 1)
    assert ImageSpec(1, 1, 1).shape == (1, 1, 1)
    with pytest.raises(ValueError, match="margins are 0x-1, expected none below 0"):
        ImageSpec(8, 8, 1, margin_width=-1)
    for fit in ("squeeze", ["crop"], None):
        with pytest.raises(ValueError, match="^fit is .* expected crop, stretch, pad.$"):
            ImageSpec(8, 8, 1, fit=fit)
    with pytest.raises(ValueError, match="std has 2 values, expected 1"):
        ImageSpec(8, 8, 1, std=(0.5, 0.5))
    with pytest.raises(ValueError, match="cannot decode 4 bytes: they are not an image"):
        decode(b"junk", ImageSpec(8, 8, 1))


def test_up_to_fifty_megapixels_are_decoded():
    """Said by the header alone: the data behind it is missing here."""
    little = zlib.compress(b"")
    with pytest.raises(ValueError, match="the file's end is missing"):
        decode(png_of(ihdr(10_000, 5_000), little), ImageSpec(8, 8, 1))
    with pytest.raises(ValueError, match="10000 x 5001, at most 50 megapixels and 65535 a side"):
        decode(png_of(ihdr(10_000, 5_001), little), ImageSpec(8, 8, 1))


def test_decoding_refuses_what_ingest_would_quarantine():
    spec, image = ImageSpec(8, 8, 3), tile(0, 1, 1)
    with pytest.raises(ValueError, match="32 x 32, at most 0.001 megapixels"):
        decode(encode(image, "PNG"), spec, max_megapixels=0.001)
    with pytest.raises(ValueError, match="the type is none of JPEG, PNG, GIF, BMP, WEBP, TIFF"):
        decode(encode(image, "PPM"), spec)
    with pytest.raises(ValueError, match="the file's end is missing"):
        decode(encode(image, "JPEG")[:-9], spec)
    animation = encode(image, "WEBP", save_all=True, append_images=[tile(0, 2, 2)])
    with pytest.raises(ValueError, match="an animated PNG or WEBP is not one image"):
        decode(animation, spec)
