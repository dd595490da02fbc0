import pytest

from components.examine import Example, Quarantined, examine
from components.ingest import Accounting, assign_split
from components.sources import RawImage
from pipeline.config import DataConfig
from tests.images import encode, tile

CONFIG = DataConfig(source="digits")
NONE = frozenset()


def _examine(data: bytes | None, **changes) -> Example | Quarantined:
    return examine(RawImage("a/1", data, 0, None, **changes), CONFIG)


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
    splits = [assign_split(None, digest, CONFIG, NONE) for digest in digests]
    assert splits.count("test") == pytest.approx(800, abs=2)
    assert splits.count("val") == pytest.approx(400, abs=2)
    own = frozenset({"train", "test"})
    carved = [assign_split("train", digest, CONFIG, own) for digest in digests]
    assert carved.count("val") == pytest.approx(400, abs=2) and "test" not in carved
    assert assign_split("test", digests[0], CONFIG, own) == "test"


def test_accounts_balance_and_merge():
    one, other = Accounting(), Accounting()
    for number in range(20):
        one.add(_examine(encode(tile(0, number % 13, number), "PNG")), "train", 0)
    other.add(_examine(b"junk"))
    summary = one.merge(other).summary(("a", "b"))
    assert summary["read"] == 21 == summary["good"] + summary["quarantined"]
    assert sum(sum(split.values()) for split in summary["splits"].values()) == 20
    assert summary["quarantine"][0]["reason"] == "not_an_image"
