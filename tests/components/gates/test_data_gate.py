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
    assert _failed(_accounting(FULL, {"a": 9, "b": 0}, FULL)) == ["images_per_class_val"]


def test_every_gate_says_in_full_what_it_asks_for_and_what_there_is():
    accounting = _accounting(FULL, FULL, {"a": 9, "b": 3}, quarantined=2) | {"without_class": 4}
    quarantined, labels, train, _, test = check_accounting(accounting, CONFIG)
    assert quarantined == GateResult(
        "quarantined", "at most 1.00% of the files (data_gate.max_quarantined)",
        "0.93% (2 of 214)", True,
        threshold=0.01, value=2 / 214, key="data_gate.max_quarantined",
    )  # fmt: skip
    assert labels == GateResult(
        "labels", "a class of the source's list for every image", "4 without", False
    )
    asked = "at least 1 of each class in {} (add images, or change data.val_fraction, "
    asked += "data.test_fraction or data_gate.min_per_class)"
    limit = {"threshold": 1, "key": "data_gate.min_per_class"}
    assert train == GateResult(
        "images_per_class_train", asked.format("train"), "50 of class 'a'", True, value=50, **limit
    )
    assert test == GateResult(
        "images_per_class_test", asked.format("test"), "3 of class 'b'", True, value=3, **limit
    )
    assert check_accounting(accounting | {"without_class": 0}, CONFIG)[1].received == "all"


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
