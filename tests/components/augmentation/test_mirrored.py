"""Whether images may be mirrored, on real digits and photographs, and on letters."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from components.augmentation.mirrored import look_in_the_mirror
from components.sources.digits_source import DigitsSource
from components.sources.open_source import open_listed
from tests.helpers.images import tile
from tests.helpers.shared_data import PETS, needs_pets


def _thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((32, 32)))


def _letters(text: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng, thumbnails = np.random.default_rng(0), []
    for number in range(count):
        image = Image.new("L", (96, 96), 255)
        place, font = (48 + rng.uniform(-6, 6), 48), ImageFont.load_default(rng.uniform(50, 80))
        letter = text[number % len(text)]
        ImageDraw.Draw(image).text(place, letter, fill=0, font=font, anchor="mm")
        thumbnails.append(_thumbnail(image.rotate(rng.uniform(-8, 8), fillcolor=255)))
    return np.stack(thumbnails), np.arange(count) % len(text)


def test_b_and_d_are_each_other_in_the_mirror():
    found = look_in_the_mirror(*_letters("bd", 60))
    assert found.harmful and found.into in ((0, 1), (1, 0))
    assert found.recognised >= 50 and found.mirrored <= 30


def test_letters_that_are_their_own_mirror_image_stay_what_they_are():
    found = look_in_the_mirror(*_letters("AOTX", 100))
    assert not found.harmful and found.recognised >= 90


@pytest.mark.parametrize("count", [100, 150])
def test_handwritten_digits_are_something_else_in_the_mirror(count):
    raws = list(DigitsSource().read({"start": 0, "stop": count}, 10**6))
    thumbnails = np.stack([_thumbnail(Image.open(io.BytesIO(raw.data))) for raw in raws])
    assert look_in_the_mirror(thumbnails, np.array([raw.label for raw in raws])).harmful


def test_photographs_of_things_stay_what_they_are():
    places = [(p, row, column) for p in (0, 1) for row in range(8) for column in range(12)]
    thumbnails = np.stack([_thumbnail(tile(*place, 48, 48)) for place in places])
    found = look_in_the_mirror(thumbnails, np.array([p for p, _, _ in places]))
    assert not found.harmful and found.recognised > 120


@needs_pets
def test_cats_and_dogs_stay_what_they_are():
    found = [
        (label, _thumbnail(Image.open(file)))
        for label, file in open_listed("tar", str(PETS)).sample(100)
    ]
    labels, thumbnails = zip(*found)
    assert not look_in_the_mirror(np.stack(thumbnails), np.array(labels)).harmful


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_of_too_few_images_nothing_is_said_against_it(count):
    thumbnails = np.zeros((count, 32, 32), np.uint8)
    assert not look_in_the_mirror(thumbnails, np.arange(count) % 2).harmful
