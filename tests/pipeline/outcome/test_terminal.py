"""What is said of steps while they run."""

import time

import pytest

from pipeline.line.steps import Step
from pipeline.outcome import terminal as module
from pipeline.outcome.terminal import Terminal


@pytest.fixture
def said(tmp_path, monkeypatch, capfd):
    """What is said of a train_keras that takes 90 s as a rule and ends after so many seconds."""
    monkeypatch.setattr(module, "_SOON", 0.05)

    def run(seconds: float, usual: float = 90.0) -> str:
        with Terminal(tmp_path / "log.txt") as terminal:
            terminal.usual = {"train_keras": usual, "pack": 2.0}
            terminal.step_started("pack")
            terminal.step_started("train_keras")
            time.sleep(seconds)
            for name in ("pack", "train_keras"):
                terminal.step_finished(Step(name, seconds, False, "first run"))
        return capfd.readouterr().out

    return run


def test_of_a_step_that_is_long_as_a_rule_it_is_said_beforehand(said):
    lines = [line.strip() for line in said(0.5).splitlines()]
    assert lines[0] == "train_keras takes 1 min 30 s as a rule"
    assert lines[1].startswith("pack") and lines[2].startswith("train_keras")


def test_nothing_is_said_of_a_short_one_or_one_that_is_cached(said):
    assert "as a rule" not in said(0.0) + said(0.5, usual=20.0)
