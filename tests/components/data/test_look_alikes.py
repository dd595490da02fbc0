"""Look-alikes are found by hash and pixels, and what merely has the same form is not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from components.data.duplicates import Catalogue
from components.data.examine import Example, examine
from components.data.look_alikes import look_alikes, perceptual_hashes, small_pictures
from components.sources.config import DataConfig
from components.sources.open_source import open_source
from components.sources.source import RawImage, Source
from tests.helpers.catalogues import catalogue
from tests.helpers.images import encode, tile
from tests.helpers.shared_data import PETS, PREPARED, needs_data, needs_pets

TRAIN, VAL, TEST = range(3)


def _recompressed(image: Image.Image) -> bytes:
    return encode(image, "JPEG", quality=75)


def _smaller(image: Image.Image) -> bytes:
    return encode(image.resize((80, 80)), "PNG")


def _brighter(image: Image.Image) -> bytes:
    return encode(image.point(lambda value: min(255, round(value * 1.08))), "PNG")


def _cropped(image: Image.Image) -> bytes:
    return encode(image.crop((1, 1, 95, 95)), "PNG")


@pytest.mark.parametrize("change", [_recompressed, _smaller, _brighter, _cropped])
def test_changed_copies_in_another_split_look_alike_and_other_pictures_do_not(change):
    places = [(p, row, column) for p in (0, 1) for row in (1, 2, 3) for column in range(6)]
    tiles = [tile(*place, 96, 96) for place in places]
    copied, rest = tiles[::2], tiles[1::2]
    rows = [(encode(image, "PNG"), TRAIN, 0) for image in copied]
    rows += [(change(image), TEST, 0) for image in copied]
    rows += [(encode(image, "PNG"), VAL, 0) for image in rest]
    pairs = dict(look_alikes(catalogue(*rows)))
    right = [row for row, other in pairs.items() if other == row - len(copied)]
    assert len(right) >= 15 and len(pairs) == len(right)


def _of(looks: np.ndarray, pictures: np.ndarray, splits: np.ndarray) -> Catalogue:
    n = len(looks)
    parts = [picture.tobytes() for picture in pictures]
    return Catalogue.of([""] * n, list(splits), [0] * n, [""] * n, looks, parts)


def test_the_result_is_that_of_comparing_every_pair():
    """Of 600 hashes in groups some bits apart, and pictures that are more or less noisy copies."""
    rng = np.random.default_rng(0)
    looks = np.tile(rng.integers(0, 2**63, 75).astype(np.uint64), 8)
    pictures = np.tile(rng.integers(0, 256, (75, 256)), (8, 1))
    noise = rng.normal(0, 1, (600, 256)) * rng.choice([2, 14, 300, 300, 300], (600, 1))
    pictures = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    for _ in range(4):
        flip = np.uint64(1) << rng.integers(0, 64, 600).astype(np.uint64)
        looks ^= np.where(rng.random(600) < 0.6, flip, np.uint64(0))
    splits = rng.integers(0, 3, 600)
    pairs = dict(look_alikes(_of(looks, pictures, splits)))

    close = np.bitwise_count(looks[:, None] ^ looks[None]) <= 6
    close &= splits[:, None] > splits[None]
    alike = np.corrcoef(pictures.astype(float))
    best = np.where(close, alike, -1).max(1)
    crowd, agreeing = close.sum(1), (close & (alike >= 0.97)).sum(1)
    expected = (best >= 0.995) | (best >= 0.97) & (2 * agreeing >= crowd)
    assert 50 < expected.sum() < (best >= 0.97).sum() < (splits > 0).sum()
    assert sorted(pairs) == np.flatnonzero(expected).tolist()
    assert all(alike[row, other] == best[row] for row, other in pairs.items())


def test_thousands_of_pictures_with_one_hash_are_compared_with_a_few_each():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (20, 256), np.uint8)[rng.integers(0, 20, 6000)]
    splits = rng.integers(0, 3, 6000)
    pairs = dict(look_alikes(_of(np.zeros(6000, np.uint64), pictures, splits)))
    assert set(pairs) <= set(np.flatnonzero(splits).tolist())
    assert len(pairs) > 0.8 * np.count_nonzero(splits)
    assert all(np.array_equal(pictures[row], pictures[other]) for row, other in pairs.items())


def test_blank_pictures_and_empty_splits_are_no_look_alikes():
    blank = encode(Image.new("L", (20, 20), 255), "PNG")
    wider = encode(Image.new("L", (30, 20), 255), "PNG")
    assert look_alikes(catalogue((blank, TRAIN, 0), (wider, TEST, 0))) == []
    assert look_alikes(catalogue((blank, VAL, 0), (wider, VAL, 0))) == []


def test_the_hash_is_the_sign_of_the_lowest_cosine_coefficients():
    """A picture of one cosine has just that coefficient's bit (and the mean's) above the median."""
    y = np.cos(np.pi * 3 * (2 * np.arange(32) + 1) / 64)
    x = np.cos(np.pi * 2 * (2 * np.arange(32) + 1) / 64)
    picture = np.round(128 + 100 * np.outer(y, x)).astype(np.uint8)
    bits = np.unpackbits(perceptual_hashes(picture[None]).astype(">u8").view(np.uint8))
    assert bits[3 * 8 + 2] == 1 and bits[0] == 1
    assert Image.open(io.BytesIO(encode(Image.fromarray(picture), "PNG"))).size == (32, 32)


def _examined(source: Source, config: DataConfig, chunks: list) -> list[tuple[RawImage, Example]]:
    raws = [raw for chunk in chunks for raw in source.read(chunk, 2**25)]
    return [(raw, found) for raw in raws if isinstance(found := examine(raw, config), Example)]


@pytest.mark.full
@needs_data
def test_a_handful_of_digits_in_thousands_are_said_to_look_alike():
    """5,000 of MNIST's test digits beside 15,000 others; by hashes alone it was one in four."""
    config = DataConfig(source="tfds:mnist", dir=str(PREPARED))
    source = open_source(config)
    chunks = [c for c in source.chunks() if c["split"] == "test" or c["start"] < 15_000]
    found = _examined(source, config, chunks[:4])
    thumbnails = np.stack([example.thumbnail for _, example in found])
    splits = np.array([TEST if raw.split == "test" else TRAIN for raw, _ in found])
    rows = _of(perceptual_hashes(thumbnails), small_pictures(thumbnails), splits)
    assert np.count_nonzero(splits) == 5000 and len(look_alikes(rows)) <= 15


def _variants(image: Image.Image) -> dict[str, bytes]:
    width, height = image.size
    box = (0.01 * width, 0.01 * height, 0.99 * width, 0.99 * height)
    dim, bright = (ImageEnhance.Brightness(image).enhance(by) for by in (0.8, 1.2))
    return {
        "quality": encode(image, "JPEG", quality=70),
        "half": encode(image.resize((width // 2, height // 2)), "PNG"),
        "cropped": encode(image.crop(tuple(map(round, box))), "PNG"),
        "dim": encode(dim, "PNG"),
        "bright": encode(bright, "PNG"),
    }


@pytest.mark.full
@needs_pets
def test_changed_copies_of_photographs_are_found_and_hardly_two_photographs_are_alike():
    config = DataConfig(source=f"tar:{PETS}")
    source = open_source(config)
    found = _examined(source, config, source.chunks())
    thumbnails, splits, names = [e.thumbnail for _, e in found], [TRAIN] * len(found), []
    for number in range(0, len(found), 7):
        for name, data in _variants(Image.open(io.BytesIO(found[number][1].image))).items():
            thumbnails.append(examine(RawImage("", data, 0, None), config).thumbnail)
            names.append((name, number))
            splits.append(TEST)
    stacked = np.stack(thumbnails)
    hashes, pictures = perceptual_hashes(stacked), small_pictures(stacked)
    pairs = look_alikes(_of(hashes, pictures, np.array(splits)))
    right = [names[row - len(found)] for row, other in pairs if other == names[row - len(found)][1]]
    assert len(pairs) - len(right) <= 1
    for name in ("quality", "half", "cropped", "dim", "bright"):
        share = sum(n == name for n, _ in right) / len(range(0, len(found), 7))
        assert share >= 0.95, name
    halves = np.where(np.arange(len(found)) % 5, TRAIN, TEST)
    # One of four puppies is there twice, in two sizes.
    assert len(look_alikes(_of(hashes[: len(found)], pictures[: len(found)], halves))) <= 1
