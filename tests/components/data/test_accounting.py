"""The account of a set: nothing is lost, nothing is counted twice, nothing leaks."""

import csv

import numpy as np

from components.data.accounting import Account, ChunkReport, write_findings
from components.data.duplicates import Catalogue
from components.data.examine import Quarantined

LABELS = ("ant", "bee")
TRAIN, VAL, TEST = range(3)
SHARES = {"test": 0.2, "val": 0.1}


def _report(number: int, rows: list[tuple], quarantined=(), reencoded=()) -> ChunkReport:
    """Rows of (name, split, label, picture)."""
    names, splits, labels, pictures = zip(*rows) if rows else ((), (), (), ())
    digests = [f"{picture:032x}" for picture in pictures]
    looks = np.array([picture * 0x0101_0101_0101 for picture in pictures], np.uint64)
    grey = [bytes([picture]) * 256 for picture in pictures]
    catalogue = Catalogue.of(list(names), list(splits), list(labels), digests, looks, grey)
    return ChunkReport(number, catalogue, list(quarantined), list(reencoded))


FIRST = _report(
    0,
    [("t1", TRAIN, 0, 1), ("t2", TRAIN, 1, 2), ("t3", TRAIN, 1, 3), ("v1", VAL, 0, 4)],
    [
        Quarantined("broken.png", "truncated", 1, "train", 17),
        Quarantined("odd\nname", "not_an_image", -1, "unassigned", 3),
    ],
    [(2, "GIF")],
)
SECOND = _report(1, [("e1", TEST, 0, 1), ("e2", TEST, 1, 5), ("t4", TRAIN, 0, 4)])


def account() -> Account:
    return Account([SECOND, FIRST], LABELS, (".DS_Store",), {})


def test_read_is_good_plus_quarantined_plus_duplicates_for_every_split_and_class():
    summary = account().to_json()
    assert (summary["read"], summary["good"]) == (9, 5)
    assert (summary["quarantined"], summary["duplicates"], summary["ignored"]) == (2, 2, 1)
    for row in summary["accounting"]:
        assert row["read"] == row["good"] + row["quarantined"] + row["duplicates"] > 0
    cells = {(r["split"], r["label"]): tuple(r.values())[2:] for r in summary["accounting"]}
    assert cells == {
        ("train", "ant"): (2, 0, 0, 2),
        ("train", "bee"): (3, 2, 1, 0),
        ("val", "ant"): (1, 1, 0, 0),
        ("test", "ant"): (1, 1, 0, 0),
        ("test", "bee"): (1, 1, 0, 0),
        ("unassigned", None): (1, 0, 1, 0),
    }
    assert summary["splits"]["train"] == {"ant": 0, "bee": 2}


def test_chunks_that_images_leave_or_move_in_are_named_with_what_stays():
    first, second, third, fourth, fifth = (f"{picture:032x}" for picture in range(1, 6))
    assert list(account().rearranged()) == [
        (0, [(second, "train"), (third, "train"), (fourth, "val")]),
        (1, [(first, "test"), (fifth, "test")]),
    ]
    more = [("t5", TRAIN, 0, 6), ("t6", TRAIN, 0, 7)]
    moved = Account([_report(0, more), _report(1, [("t7", TRAIN, 0, 8)])], LABELS, (), SHARES)
    assert list(moved.rearranged()) == [(0, [(f"{6:032x}", "test"), (f"{7:032x}", "val")])]


def test_copies_inside_a_split_are_counted_and_named():
    rows = [("a", TRAIN, 0, 1), ("b", TRAIN, 0, 1), ("c", TRAIN, 1, 1), ("d", TEST, 0, 2)]
    found = Account([_report(0, rows), _report(1, [("e", TEST, 0, 2)])], LABELS, (), {})
    summary = found.to_json()
    assert summary["copies"] == 3 and summary["duplicates"] == 0 and summary["good"] == 5
    copies = [(row["name"], row["detail"]) for row in summary["findings"]["copy"]]
    a, d = "same pixels as a in train", "same pixels as d in test"
    assert copies == [("b", a), ("c", a), ("e", d)]


def test_findings_name_every_file_and_its_twin_whatever_its_name(tmp_path):
    write_findings(tmp_path / "findings.csv", account().findings())
    with open(tmp_path / "findings.csv", newline="") as file:
        rows = {(row["finding"], row["name"]): row["detail"] for row in csv.DictReader(file)}
    assert rows == {
        ("quarantined", "broken.png"): "truncated",
        ("quarantined", "odd\nname"): "not_an_image",
        ("duplicate", "t1"): "same pixels as e1 in test",
        ("duplicate", "t4"): "same pixels as v1 in val",
        ("reencoded", "t3"): "GIF as PNG",
        ("ignored", ".DS_Store"): "hidden, or not an image",
    }


def test_a_name_that_a_spreadsheet_would_run_is_made_inert(tmp_path):
    name = '=HYPERLINK("http://127.0.0.1")'
    report = _report(0, [], [Quarantined(name, "damaged", 0, "train", 1)])
    write_findings(tmp_path / "findings.csv", Account([report], LABELS, (), {}).findings())
    with open(tmp_path / "findings.csv", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [f"'{name}"]


def test_the_order_in_which_chunks_report_changes_nothing():
    other = Account([FIRST, SECOND], LABELS, (".DS_Store",), {})
    assert other.to_json() == account().to_json() and other.findings() == account().findings()


def test_a_set_without_a_single_image_still_has_an_account():
    empty = Account(
        [_report(0, [], [Quarantined("x", "empty_file", 0, "unassigned", 0)])], LABELS, (), {}
    )
    assert (empty.to_json()["read"], empty.to_json()["quarantined"]) == (1, 1)
    assert list(empty.rearranged()) == []
