"""What came and went since the release, and how far it drifted."""

from components.data.image_changes import changes
from components.data.image_index import Row
from components.gates.result import GateResult
from components.gates.since_release import since_release


def _index(*rows: tuple[str, str, int]) -> dict[str, list[Row]]:
    index: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for split, label, picture in rows:
        index[split].append(Row(split, label, f"{picture:032x}"[::-1]))
    return index


def test_every_class_is_what_it_was_less_what_went_plus_what_came():
    before = _index(
        ("train", "cat", 1), ("train", "cat", 2), ("train", "dog", 3), ("test", "dog", 4)
    )
    after = _index(
        ("train", "cat", 1), ("train", "dog", 2), ("train", "dog", 4), ("test", "cat", 5)
    )
    found = since_release(changes(before, after), [], 7)
    assert found["release"] == 7 and found["drift"] == {}
    assert found["added"] == {"test": {"cat": 1}, "train": {"dog": 2}}
    assert found["removed"] == {"test": {"dog": 1}, "train": {"cat": 1, "dog": 1}}
    for split in before:
        for label in ("cat", "dog"):
            was, now = (sum(r.label == label for r in i[split]) for i in (before, after))
            came, went = (found[k].get(split, {}).get(label, 0) for k in ("added", "removed"))
            assert now == was - went + came


def test_drift_is_that_of_the_gates_by_feature_and_split():
    results = [
        GateResult("drift_train_class_name", "", "", True, value=0.25),
        GateResult("drift_test_mean", "", "", False, value=0.5),
        GateResult("schema_train", "", "", True),
    ]
    found = since_release(None, results, 1)
    assert found["drift"] == {"class_name": {"train": 0.25}, "mean": {"test": 0.5}}
    assert found["added"] is None and found["removed"] is None
