import pytest

from components.base.refusal import DataRefused
from components.data.ingest import require_trainable
from components.gates.data_gate import DataGateConfig, check_accounting
from components.gates.result import GateResult

CONFIG = DataGateConfig()


def _accounting(train: dict, val: dict, test: dict, quarantined: int = 0) -> dict:
    good = sum(sum(split.values()) for split in (train, val, test))
    return {
        "read": good + quarantined,
        "good": good,
        "quarantined": quarantined,
        "without_class": 0,
        "splits": {"train": train, "val": val, "test": test},
        "findings": {"quarantined": [{"detail": "not_an_image"}] * quarantined},
    }


def _failed(accounting: dict) -> list[str]:
    return [gate.name for gate in check_accounting(accounting, CONFIG) if not gate.passed]


FULL = {"a": 50, "b": 50}


def test_balanced_data_passes():
    accounting = _accounting(FULL, FULL, FULL, quarantined=3)
    require_trainable(accounting)
    assert _failed(accounting) == []


def test_more_than_one_percent_quarantined_is_refused():
    assert _failed(_accounting(FULL, FULL, FULL, quarantined=4)) == ["quarantined"]


def test_an_image_whose_label_is_outside_the_map_is_refused():
    assert _failed(_accounting(FULL, FULL, FULL) | {"without_class": 1}) == ["labels"]


def test_the_limits_themselves_are_allowed():
    accounting = _accounting({"a": 50, "b": 20}, {"a": 10, "b": 9}, {"a": 9, "b": 1}, quarantined=1)
    assert accounting["read"] == 100 and _failed(accounting) == []


def test_a_class_missing_from_a_split_is_refused():
    assert _failed(_accounting(FULL, {"a": 9, "b": 0}, FULL)) == ["images_per_class"]


def test_every_gate_says_in_full_what_it_asks_for_and_what_there_is():
    accounting = _accounting(FULL, FULL, {"a": 9, "b": 3}, quarantined=2) | {"without_class": 4}
    quarantined, labels, images = check_accounting(accounting, CONFIG)
    assert quarantined == GateResult(
        "quarantined", "at most 1.00% of the files (data_gate.max_quarantined)",
        "0.93% (2 of 214)", True,
        threshold=0.01, value=2 / 214, key="data_gate.max_quarantined",
    )  # fmt: skip
    assert labels == GateResult(
        "labels", "a class of the source's list for every image", "4 without", False
    )
    assert images == GateResult(
        "images_per_class", "at least 1 of each class in train, val, test", "3 or more", True,
        threshold=1, value=3, key="data_gate.min_per_class",
    )  # fmt: skip
    assert check_accounting(accounting | {"without_class": 0}, CONFIG)[1].received == "all"


def test_every_class_that_is_short_is_named_with_its_counts_and_the_advice_is_taken():
    counts = {"a": 9, "b": 2, "c": 0, "d": 1}
    splits = (counts, {"a": 1, "b": 0, "c": 1, "d": 1}, {"a": 2, "b": 0, "c": 0, "d": 1})
    gate = check_accounting(_accounting(*splits), CONFIG)[-1]
    assert gate.sentence() == (
        "images_per_class is too small for 2 classes: 'b' (2 train, 0 val, 0 test), 'c' (0 train, "
        "1 val, 0 test), expected at least 1 of each class in train, val, test (give each 3 "
        "different images or more, and where the source has splits itself 1 in each; or take it "
        "out)"
    )
    asking = DataGateConfig(min_per_class=2)
    (gate,) = check_accounting(_accounting(FULL, FULL, {"a": 9, "b": 1}), asking)[-1:]
    assert "for 1 class: 'b' (50 train, 50 val, 1 test)" in gate.received
    assert "or set data_gate.min_per_class=1" in gate.expected


@pytest.mark.parametrize(
    "accounting, words",
    [
        (_accounting({}, {}, {}, quarantined=5), "None of the 5 files is an image"),
        (
            _accounting({"a": 9, "b": 0}, {"a": 3, "b": 0}, {"a": 3, "b": 0}),
            "Only class 'a' has images",
        ),
        (_accounting({"a": 3, "b": 3}, {"a": 0, "b": 0}, {"a": 1, "b": 0}), "'val' is empty"),
    ],
)
def test_what_could_not_even_run_is_refused_at_once(accounting, words):
    with pytest.raises(DataRefused, match=words):
        require_trainable(accounting)
