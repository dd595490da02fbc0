import pytest

from components.data.examine import examine
from components.data.ingest import assign_split, carved, frozen_order
from components.sources.config import DataConfig
from components.sources.source import RawImage
from tests.helpers.images import encode, tile

CONFIG = DataConfig(source="digits")
NONE = frozenset()


def test_splits_follow_the_pixels_and_not_the_name_or_the_encoding():
    image = tile(0, 4, 7)
    variants = [
        RawImage("a/1.png", encode(image, "PNG"), 0, None),
        RawImage("b/renamed.bmp", encode(image, "BMP"), 0, None),
    ]
    first, second = (examine(raw, CONFIG) for raw in variants)
    assert first.sha256 == second.sha256


def test_fractions_are_kept_and_own_splits_win():
    digests = [f"{value * (16**64 // 4000):064x}" for value in range(4000)]
    splits = [assign_split(None, digest, carved(CONFIG, NONE)) for digest in digests]
    assert splits.count("test") == pytest.approx(800, abs=2)
    assert splits.count("val") == pytest.approx(400, abs=2)
    shares = carved(CONFIG, frozenset({"train", "test"}))
    splits = [assign_split("train", digest, shares) for digest in digests]
    assert splits.count("val") == pytest.approx(400, abs=2) and "test" not in splits
    assert assign_split("test", digests[0], shares) == "test"


def test_the_order_of_classes_is_that_of_the_release_with_new_ones_behind():
    assert frozen_order(("a", "b", "c"), ["c", "a", "b"]) == ("c", "a", "b")
    assert frozen_order(("a", "b", "c", "d"), ["d", "b"]) == ("d", "b", "a", "c")
    assert frozen_order(("a", "c"), ["c", "b", "a"]) == ("c", "a")
