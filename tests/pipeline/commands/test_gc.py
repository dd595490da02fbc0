"""`python -m pipeline gc`, as a person cleans an output root up."""

import pytest

from pipeline.line.output_root import locked
from tests.helpers.command_line import darkroom
from tests.helpers.simulated_line import SimulatedLine, disk


@pytest.fixture
def line(tmp_path):
    line = SimulatedLine(tmp_path / "out", kilobytes=5)
    for _ in range(4):
        line.run()
    return line


def test_it_says_what_would_go_and_then_removes_that(line):
    arguments = ("gc", "keep=2", "artifacts=1", f"root={line.root}")
    with locked(line.root):
        before = disk(line.root)  # with the lock's file
    would = darkroom(*arguments, "--dry-run")
    assert would.returncode == 0, would.stderr
    *lines, last = would.stdout.splitlines()
    assert lines == [
        "run        20260101-000000-000001",
        "run        20260101-000000-000002",
        "artifacts  3 of ingest",
        "artifacts  3 of pack",
        "artifacts  3 of train_torch",
        "artifacts  3 of push",
        "leftover   16 working folders of TFX",
    ]
    assert last.startswith("Would free 0.") and last.endswith(" MB.")
    assert disk(line.root) == before
    done = darkroom(*arguments)
    assert done.stdout.splitlines() == [*lines, last.replace("Would free", "Freed")]
    assert disk(line.root) < before
    assert darkroom(*arguments).stdout == "Nothing to remove.\n"


def test_a_run_that_goes_on_is_left_alone(line):
    with locked(line.root):
        done = darkroom("gc", "keep=1", f"root={line.root}")
    assert done.returncode == 75 and "process " in done.stderr
    assert len(list((line.root / "runs").glob("2*"))) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["keep=0"], "greater than or equal to 1"),
        (["keeps=3"], "did you mean 'keep'?"),
        (["3"], "expected key=value"),
        ([], "There are no runs under"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, words, sentence):
    done = darkroom("gc", *words, f"root={tmp_path}")
    assert done.returncode == 2 and sentence in done.stderr
