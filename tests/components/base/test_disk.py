"""A full disk is recognised in whatever words, and said in one sentence."""

import errno
import sqlite3

import pytest

from components.base import disk
from components.base.commands import Arguments, command
from components.base.process import run_module


@pytest.mark.parametrize(
    "error, full",
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: out/variables; No space left on device"), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (disk.DiskFull("full"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("the loss is nan"), False),
    ],
)
def test_libraries_say_it_in_many_ways(error, full):
    assert disk.is_full(error) == full
    try:
        try:
            raise error
        except Exception as inner:
            raise ValueError("the export failed") from inner
    except ValueError as outer:
        assert disk.is_full(outer) == full


def test_the_sentence_says_where_and_how_much_there_is(tmp_path):
    with pytest.raises(disk.DiskFull, match=r"holds '.*' is full: .*B of .*B are free; make room"):
        with disk.explained(tmp_path / "not/yet"):
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), disk.explained(tmp_path):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.parametrize("count, text", [(12_345, "12 kB"), (3_500_000, "3.5 MB"), (2e9, "2.0 GB")])
def test_sizes_are_said_in_round_numbers(count, text):
    assert disk.size(int(count)) == text


class Empty(Arguments):
    """Of a step that needs none."""


def test_a_steps_process_ends_with_a_status_of_its_own(tmp_path, capsys):
    def function(_):
        raise ValueError("the model cannot be written") from OSError(errno.ENOSPC, "no room")

    path = tmp_path / "step.args.json"
    path.write_text("{}")
    assert command("step", Empty, function, [str(path)]) == disk.EXIT_FULL
    capsys.readouterr()


def test_a_step_that_found_the_disk_full_is_told_from_others(tmp_path, monkeypatch):
    (tmp_path / "full_step.py").write_text(f"import sys; sys.exit({disk.EXIT_FULL})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(disk.DiskFull, match="is full"):
        run_module("full_step", Empty(), tmp_path, seconds=60)
