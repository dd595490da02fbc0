"""The gate on relabelled images: swapped classes are refused, corrections pass."""

import dataclasses

import pytest

from components.data.image_changes import Changes, changes
from components.data.image_index import Row
from components.gates import relabelled
from components.gates.data_gate import DataGateConfig
from components.gates.result import GateResult


def _index(classes: list[str]) -> dict[str, list[Row]]:
    rows = [Row("train", name, f"{number:032x}"[::-1]) for number, name in enumerate(classes)]
    return {"train": rows, "val": [], "test": []}


def _judge(before: list[str], after: list[str], labels=None, **config) -> GateResult:
    """Image n is of class `before[n]` in the release and of class `after[n]` today."""
    changed: Changes = changes(_index(before), _index(after))
    found = relabelled.relabelled(changed, labels or sorted(set(after)))
    return relabelled.check(changed, found, DataGateConfig(**config), "release 2")


def test_two_swapped_classes_are_named_in_the_sentence():
    gate = _judge(
        ["cat"] * 31 + ["dog"] * 20 + ["owl"] * 49, ["dog"] * 31 + ["cat"] * 20 + ["owl"] * 49
    )
    assert not gate.passed
    assert gate.sentence() == (
        "relabelled is 51 images of another class than in release 2 (31 images of 'cat' are 'dog' "
        "now, 20 images of 'dog' are 'cat' now), expected at most 3 of the 100 that it knows, and "
        "of no class more than 50% (data_gate.max_relabelled)"
    )


def test_of_many_ways_the_two_with_most_images_are_named_and_the_others_counted():
    before = ["a"] * 40 + ["b"] * 40 + ["c"] * 1920
    after = ["b"] * 3 + ["c"] * 2 + ["a"] * 35 + ["c"] * 1 + ["b"] * 39 + ["c"] * 1920
    gate = _judge(before, after)
    assert gate == GateResult(
        "relabelled",
        "at most 20 of the 2,000 that it knows, and of no class more than 50% "
        "(data_gate.max_relabelled)",
        "6 images of another class than in release 2 (3 images of 'a' are 'b' now, 2 images of 'a' "
        "are 'c' now, 1 more)",
        True,
        key="data_gate.max_relabelled",
    )
    one = _judge(["a", "b", "b"], ["b", "b", "b"], labels=["a", "b"])
    assert one.received == (
        "1 image of another class than in release 2 (1 image of 'a' is 'b' now)"
    )


@pytest.mark.parametrize("classes, images", [(2, 20), (10, 6), (100, 600), (1000, 50), (1000, 5)])
def test_two_swapped_classes_are_refused_among_any_number_of_classes(classes, images):
    before = [f"class {n // images}" for n in range(classes * images)]
    after = before.copy()
    after[: 2 * images] = after[images : 2 * images] + after[:images]
    assert not _judge(before, after).passed


@pytest.mark.parametrize("images, corrected, passed", [
    (40, 1, True), (40, 3, True), (40, 4, False), (1000, 10, True), (1000, 11, False),
])  # fmt: skip
def test_a_handful_of_corrections_pass(images, corrected, passed):
    before = ["cat", "dog"] * (images // 2)
    after = before.copy()
    after[: 2 * corrected : 2] = ["dog"] * corrected
    gate = _judge(before, after)
    assert gate.passed is passed
    assert gate.received.startswith(f"{corrected} image")


def test_the_limit_decides_none_and_all():
    before, after = ["cat"] * 20 + ["dog"] * 20, ["dog"] * 20 + ["cat"] * 20
    assert _judge(before, after, max_relabelled=1).passed
    assert not _judge(before, ["dog", *before[1:]], max_relabelled=0).passed
    none = _judge(before, before, max_relabelled=0)
    assert none.received == "none" and "of no class more than 0%" in none.expected


def test_renamed_merged_and_new_classes_are_no_relabelling():
    before = ["cat"] * 20 + ["dog"] * 20 + ["owl"] * 20
    for after in (
        ["kitten"] * 20 + before[20:],
        ["dog"] * 40 + ["owl"] * 20,  # cat is gone
        ["cat"] * 10 + ["kitten"] * 10 + before[20:],
    ):
        assert _judge(before, after).received == "none"
    # The class is still there, though all of its images are others now.
    after = ["dog"] * 40 + ["owl"] * 20 + ["cat"] * 20
    assert not _judge(before, after).passed


def test_images_that_the_release_does_not_know_are_not_judged():
    gate = _judge(["cat", "dog"], ["cat", "dog"] + ["cat"] * 50)
    assert gate.passed and "of the 2 that it knows" in gate.expected


def test_findings_name_what_each_image_was():
    before, after = _index(["cat", "dog", "dog"]), _index(["dog", "dog", "dog"])
    before["test"] = [Row("test", "cat", "f" * 32, "")]
    after["train"].append(Row("train", "cat", "f" * 32, "moved.png"))
    after["train"][0] = dataclasses.replace(after["train"][0], name="relabelled.png")
    changed = changes(before, after)
    found = relabelled.relabelled(changed, ["cat", "dog"])
    rows = relabelled.findings(changed, found, "release 2")
    assert [(f.finding, f.name, f.split, f.label, f.detail) for f in rows] == [
        ("relabelled", "relabelled.png", "train", "dog", "was 'cat' in release 2"),
        ("moved", "moved.png", "train", "cat", "was test in release 2"),
    ]
