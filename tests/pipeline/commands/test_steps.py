"""What each step took in the last runs, as a person is told."""

import io

import pytest
from rich.console import Console

from components.base.refusal import ConfigError
from pipeline.commands.steps import steps
from pipeline.outcome.verdict import Verdict
from tests.helpers.command_line import darkroom


@pytest.fixture
def root(tmp_path):
    for number, (name, seconds) in enumerate(
        [("a", 10.0), ("a", 20.0), ("b", 7.0), ("a", 40.0)], start=1
    ):
        directory = tmp_path / f"runs/run-{number}"
        directory.mkdir(parents=True)
        train = {"seconds": seconds, "cached": False, "peak_memory": int(seconds * 1e8)}
        push = {"seconds": 0.5, "cached": number == 4}
        rows = [{"name": "train", "why": "", **train}, {"name": "push", "why": "", **push}]
        Verdict(f"run-{number}", name, name, steps=rows).write(directory)
    return tmp_path


def told(*words: str) -> list[list[str]]:
    out = io.StringIO()
    steps(list(words), Console(file=out, width=160))
    return [line.split() for line in out.getvalue().splitlines()]


def test_steps_are_tabulated_newest_run_first_beside_their_median(root):
    title, head, train, push, *others = told(f"root={root}", "count=2")
    assert title[0] == "a:" and others[0][0] == "b:"
    assert head == ["STEP", "run-4", "run-2", "MEDIAN", "OF", "3"]
    assert " ".join(train) == ("train 40.0 s 4,000.0 MB 20.0 s 2,000.0 MB 20.0 s 2,000.0 MB")
    assert " ".join(push) == "push - 0.5 s 0.5 s"


def test_only_a_name_is_shown_and_one_that_there_is_none_of_is_refused(root):
    assert [line[0] for line in told(f"root={root}", "name=b")] == ["b:", "STEP", "train", "push"]
    with pytest.raises(ConfigError, match="No run of 'c' under"):
        told(f"root={root}", "name=c")


def test_where_there_is_nothing_or_a_word_is_wrong_it_is_said(tmp_path):
    for words in ([f"root={tmp_path}"], ["count=0"], ["counts=1"]):
        done = darkroom("steps", *words)
        assert done.returncode == 2 and done.stderr.startswith("darkroom: ")
