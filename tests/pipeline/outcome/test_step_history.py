"""What is usual for a step, and what is said when it takes much longer."""

import json

import pytest

from pipeline.line.steps import STOPPED
from pipeline.outcome.step_history import (
    RunSteps,
    Taken,
    median,
    read_history,
    slow_steps,
    taken,
    usual_seconds,
)
from pipeline.outcome.verdict import Verdict, point_latest


def step(name: str, seconds: float, cached: bool = False, why: str = "", memory: int = 0) -> dict:
    return {
        "name": name, "seconds": seconds, "cached": cached, "why": why, "peak_memory": memory,
    }  # fmt: skip


def earlier(*seconds: float) -> list[RunSteps]:
    return [RunSteps(str(n), "a", {"train": Taken(s, None)}) for n, s in enumerate(seconds)]


def test_a_step_that_takes_more_than_twice_its_median_is_named_with_both():
    assert slow_steps([step("train", 95.2)], earlier(41, 39, 40)) == [
        "train took 95 s, usually 40 s (the median of 3 earlier runs)"
    ]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (step("train", 95), (40, 40)),  # nothing is usual yet
        (step("train", 80), (40, 40, 40)),  # twice, not more
        (step("train", 7), (2.1, 2.1, 2.1)),  # a second is soon lost
        (step("train", 95), (41, 95, 96)),
        (step("train", 95, cached=True), (40, 40, 40)),
        (step("train", 95, why=STOPPED), (40, 40, 40)),
        (step("pack", 95), (40, 40, 40)),
    ],
)
def test_otherwise_nothing_is_said(now, before):
    assert slow_steps([now], earlier(*before)) == []


def test_what_a_step_takes_as_a_rule_is_the_median_of_the_runs_that_went_through_it():
    runs = [*earlier(100, 300, 200), RunSteps("9", "a", {"pack": Taken(2.0, None)})]
    assert usual_seconds(runs) == {"train": 200, "pack": 2.0}


def test_only_work_that_was_done_to_its_end_counts(tmp_path):
    runs = tmp_path / "runs"
    for number, steps in enumerate(
        [
            [step("train", 3.0, memory=10**9), step("push", 1.0, why=STOPPED)],
            [step("train", 0.0, cached=True)],
            [{"name": "train", "seconds": 5.0, "cached": False, "why": "older"}],
        ]
    ):
        (runs / str(number)).mkdir(parents=True)
        Verdict(str(number), "a", "a", steps=steps).write(runs / str(number))
    point_latest(runs, "2")
    for name, text in {"3": "{", "4": "[]", "5": json.dumps({"name": "a"})}.items():
        (runs / name).mkdir()
        (runs / name / "verdict.json").write_text(text)
    assert read_history(runs) == [
        RunSteps("2", "a", {"train": Taken(5.0, None)}),
        RunSteps("0", "a", {"train": Taken(3.0, 10**9)}),
    ]
    assert taken([]) == {} and read_history(tmp_path / "none") == []


def test_the_median_is_of_what_there_is():
    assert median([3, None, 1, 2]) == 2 and median([None]) is None
