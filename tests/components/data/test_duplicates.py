import io

import numpy as np
import pytest
from PIL import Image

from components.data.duplicates import Catalogue, alike, conflicts, leaks, perceptual_hashes
from components.data.examine import examine
from components.sources.config import DataConfig
from components.sources.source import RawImage
from tests.helpers.images import encode, tile

TRAIN, VAL, TEST = range(3)


def catalogue(*rows: tuple[bytes, int, int]) -> Catalogue:
    """From (file, split, label) rows, through examine()."""
    config = DataConfig(source="digits")
    examples = [examine(RawImage("", data, 0, None), config) for data, _, _ in rows]
    return Catalogue.of(
        [f"{number}" for number in range(len(rows))],
        [split for _, split, _ in rows],
        [label for _, _, label in rows],
        [example.sha256[:32] for example in examples],
        perceptual_hashes(np.stack([example.thumbnail for example in examples])),
    )


def test_train_gives_way_to_val_and_val_to_test_whatever_the_encoding():
    png, bmp = encode(tile(0, 1, 1), "PNG"), encode(tile(0, 1, 1), "BMP")
    other, third = encode(tile(0, 2, 2), "PNG"), encode(tile(1, 3, 3), "PNG")
    found = leaks(
        catalogue(
            (png, TRAIN, 0), (bmp, TEST, 0), (other, VAL, 0), (other, TRAIN, 0), (other, TRAIN, 1),
            (png, VAL, 0), (third, TRAIN, 0), (third, TRAIN, 0),
        )
    )  # fmt: skip
    assert found.tolist() == [True, False, False, True, True, True, False, False]


def test_a_grey_picture_is_the_same_in_one_channel_and_in_three():
    grey = tile(0, 4, 4).convert("L")
    rows = [
        (encode(image, "PNG"), split, 0) for split, image in enumerate([grey, grey.convert("RGB")])
    ]
    assert leaks(catalogue(*rows)).tolist() == [True, False]


def test_pictures_under_two_labels_are_found():
    png, other = encode(tile(0, 1, 1), "PNG"), encode(tile(0, 2, 2), "PNG")
    found = conflicts(
        catalogue((png, TRAIN, 0), (other, TRAIN, 0), (other, TEST, 0), (png, TRAIN, 1))
    )
    assert found.tolist() == [0, 3]


def _recompressed(image: Image.Image) -> bytes:
    return encode(image, "JPEG", quality=75)


def _smaller(image: Image.Image) -> bytes:
    return encode(image.resize((80, 80)), "PNG")


def _brighter(image: Image.Image) -> bytes:
    return encode(image.point(lambda value: min(255, round(value * 1.08))), "PNG")


@pytest.mark.parametrize("change", [_recompressed, _smaller, _brighter])
def test_changed_copies_in_another_split_look_alike_and_other_pictures_do_not(change):
    places = [(p, row, column) for p in (0, 1) for row in (1, 2, 3) for column in range(6)]
    tiles = [tile(*place, 96, 96) for place in places]
    copied, rest = tiles[::2], tiles[1::2]
    rows = [(encode(image, "PNG"), TRAIN, 0) for image in copied]
    rows += [(change(image), TEST, 0) for image in copied]
    rows += [(encode(image, "PNG"), VAL, 0) for image in rest]
    pairs = dict(alike(catalogue(*rows)))
    right = [row for row, other in pairs.items() if other == row - len(copied)]
    assert len(right) >= 15 and len(pairs) - len(right) <= 1


def test_alike_equals_the_comparison_of_every_pair():
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 2**63, 400).astype(np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (200, 3)).astype(np.uint64)
    count = rng.integers(0, 4, 200)
    looks[200:] = looks[:200]
    for flip in range(3):
        looks[200:] ^= np.where(count > flip, flips[:, flip], np.uint64(0))
    splits = rng.integers(0, 3, 400)
    catalogue = Catalogue.of([""] * 400, splits, [0] * 400, [""] * 400, looks)
    distance = np.bitwise_count(looks[:, None] ^ looks[None])
    expected = ((distance <= 2) & (splits[:, None] > splits[None])).any(1)
    pairs = alike(catalogue)
    assert [row for row, _ in pairs] == np.flatnonzero(expected).tolist()
    assert all(distance[row, other] <= 2 and splits[other] < splits[row] for row, other in pairs)


def test_the_hash_is_the_sign_of_the_lowest_cosine_coefficients():
    """A picture of one cosine has just that coefficient's bit (and the mean's) above the median."""
    y = np.cos(np.pi * 3 * (2 * np.arange(32) + 1) / 64)
    x = np.cos(np.pi * 2 * (2 * np.arange(32) + 1) / 64)
    picture = np.round(128 + 100 * np.outer(y, x)).astype(np.uint8)
    bits = np.unpackbits(perceptual_hashes(picture[None]).astype(">u8").view(np.uint8))
    assert bits[3 * 8 + 2] == 1 and bits[0] == 1
    assert Image.open(io.BytesIO(encode(Image.fromarray(picture), "PNG"))).size == (32, 32)
