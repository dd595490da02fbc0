import pytest

from components.base.refusal import DataRefused
from components.data.ingest import require_trainable
from components.gates.data_gate import DataGateConfig, check_accounting

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


def test_a_class_missing_from_a_split_is_refused():
    assert _failed(_accounting(FULL, {"a": 9, "b": 0}, FULL)) == ["images_per_class_val"]


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
