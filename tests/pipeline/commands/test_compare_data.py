"""What `compare` says of the images of two runs, told by their indices."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from components.base.refusal import ConfigError
from components.data import image_index
from components.data.image_index import Row
from pipeline.commands.compare_data import (
    MOST,
    changes_between,
    classes_table,
    drift,
    images_table,
)


def _run(directory: Path, rows: list[tuple[str, str, int]], **counts) -> dict:
    """A run's directory with the index of (split, class, picture), and its verdict."""
    directory.mkdir()
    index = [
        Row(split, name, f"{picture:032x}"[::-1], f"{picture}") for split, name, picture in rows
    ]
    image_index.write(directory / image_index.INDEX, index)
    classes = sorted({name for _, name, _ in rows})
    splits = {
        split: {name: sum(row[:2] == (split, name) for row in rows) for name in classes}
        for split in ("train", "val", "test")
    }
    return {"data": {"splits": splits, "quarantined": 0, **counts}, "gates": []}


def _shown(*what, width: int = 80) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for one in what:
        console.print(one, highlight=False)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [" ".join(line.translate(str.maketrans("│┃", "  ")).split()) for line in lines]


FIRST = [
    *(("train", "cat", n) for n in range(40)),
    *(("train", "dog", n) for n in range(100, 140)),
    *(("train", "owl", n) for n in range(200, 240)),
    *(("test", "cat", n) for n in range(300, 305)),
    *(("test", "dog", n) for n in range(400, 405)),
]


def test_added_removed_relabelled_and_moved_images_are_counted_by_class(tmp_path):
    second = [row for row in FIRST if row[2] not in (0, 1, 100)]
    second[second.index(("train", "cat", 5))] = ("train", "dog", 5)
    second[second.index(("train", "owl", 201))] = ("test", "owl", 201)
    second += [("train", "emu", 500), ("train", "cat", 501)]
    a, b = _run(tmp_path / "a", FIRST), _run(tmp_path / "b", second, quarantined=3)
    changed = changes_between(tmp_path / "a", tmp_path / "b")
    lines = _shown(classes_table(a["data"], b["data"], changed))
    assert "class A B added removed relabelled" in lines[1]
    assert "cat 40/0/5 38/0/5 1 2 1 to 'dog'" in lines
    assert "dog 40/0/5 40/0/5 1 1 from 'cat'" in lines
    assert "emu none 1/0/0 1" in lines
    assert "owl 40/0/0 39/0/1" in lines
    lines = _shown(images_table({"A": a, "B": b}))
    assert "train 120 118" in lines and "test 10 11" in lines and "quarantined 0 3" in lines


def test_the_same_images_are_said_to_be_the_same_whatever_their_names(tmp_path):
    a, b = _run(tmp_path / "a", FIRST), _run(tmp_path / "b", FIRST[::-1])
    changed = changes_between(tmp_path / "a", tmp_path / "b")
    assert (
        classes_table(a["data"], b["data"], changed) == "Images    the same pictures in both runs"
    )


def test_without_an_index_classes_are_compared_by_their_numbers(tmp_path):
    a, b = _run(tmp_path / "a", FIRST), _run(tmp_path / "b", FIRST[1:])
    (tmp_path / "a" / "images.csv").unlink()
    changed = changes_between(tmp_path / "a", tmp_path / "b")
    assert changed is None
    lines = _shown(classes_table(a["data"], b["data"], changed))
    assert "class A B" in lines[1] and "cat 40/0/5 39/0/5" in lines
    assert not any("dog" in line or "added" in line for line in lines)
    assert "as many" in classes_table(a["data"], a["data"], None)


def test_of_many_classes_those_with_most_changes_are_listed(tmp_path):
    names = [f"a class of a rather long name, number [{n}]" for n in range(50)]
    rows = [("train", name, n) for n, name in enumerate(names * 30)]
    swapped = [
        ("train", names[7], n) if name == names[3] else (split, name, n) for split, name, n in rows
    ]
    more = [("train", name, 9000 + n) for n, name in enumerate(names)]
    a, b = _run(tmp_path / "a", rows), _run(tmp_path / "b", swapped + more)
    changed = changes_between(tmp_path / "a", tmp_path / "b")
    text = " ".join(_shown(classes_table(a["data"], b["data"], changed)))
    assert f"{50 - MOST} more classes changed" in text
    assert "number [3]" in text and "number [7]" in text and "number [49]" not in text


def test_the_largest_drift_of_any_split_is_told_with_its_release():
    rows = [
        ("drift_train_mean", "0.031"),
        ("drift_val_mean", "0.4 (The Jensen-Shannon divergence ... is 0.4)"),
        ("drift_train_width", "0.000"),
        ("drift_test_height", "0.020"),
        ("quarantined", "0.00% (0 of 9)"),
    ]
    expected = "at most 0.25 from release 3 (data_gate.max_drift)"
    found = drift([{"name": n, "received": r, "expected": expected} for n, r in rows])
    assert found == {"brightness": "0.400 since release 3", "size": "0.020 since release 3"}


def test_a_damaged_index_is_named(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.csv").write_text(
            "split,class,sha256,name\r\nnowhere,cat,00,x\r\n"
        )
    with pytest.raises(ConfigError, match="images.csv"):
        changes_between(tmp_path / "a", tmp_path / "b")
