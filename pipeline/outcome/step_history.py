"""How long a step takes as a rule, and how much memory, by the verdicts of the runs that are kept.

Runs of one name are compared with each other. That they had as many images or epochs is not
looked at: a night that takes twice the usual time is worth a word, whatever it is due to.
"""

import dataclasses
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.line.steps import UNFINISHED

_FEWEST = 3
"""Earlier runs of a step, below which nothing is usual."""
_TIMES, _SECONDS = 2, 5
"""A step is slow that takes so many times the usual seconds, and so many more."""


@dataclasses.dataclass(frozen=True)
class Taken:
    """By one step of one run; `memory` in bytes, None where an older run did not measure it."""

    seconds: float
    memory: int | None


@dataclasses.dataclass(frozen=True)
class RunSteps:
    """The steps of a run that did their work to the end, by name."""

    run_id: str
    name: str
    steps: dict[str, Taken]


def taken(steps: Iterable[dict[str, Any]]) -> dict[str, Taken]:
    """Of a verdict's `steps`, without those that were cached or came to no end."""
    return {
        step["name"]: Taken(float(step["seconds"]), step.get("peak_memory") or None)
        for step in steps
        if not step["cached"] and step["why"] not in UNFINISHED
    }


def read_history(runs: Path) -> list[RunSteps]:
    """Of all runs in that folder that came to a verdict and did some work, the newest first."""
    found = []
    for path in sorted(runs.glob("*/verdict.json"), reverse=True):
        if path.parent.is_symlink():
            continue
        try:
            verdict = json.loads(path.read_text())
            if steps := taken(verdict["steps"]):
                found.append(RunSteps(path.parent.name, str(verdict["name"]), steps))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `runs` says that it is damaged
    return found


def median(values: Iterable[float | None]) -> float | None:
    """Of those that there are."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def usual_seconds(earlier: Iterable[RunSteps]) -> dict[str, float]:
    """Of each step the median of the `earlier` runs, which are of the same name."""
    known: dict[str, list[float]] = {}
    for run in earlier:
        for name, step in run.steps.items():
            known.setdefault(name, []).append(step.seconds)
    return {name: statistics.median(seconds) for name, seconds in known.items()}


def slow_steps(steps: Iterable[dict[str, Any]], earlier: Iterable[RunSteps]) -> list[str]:
    """A sentence for each of a verdict's steps that took much longer than in the `earlier` runs,
    which are of the same name."""
    before = list(earlier)
    sentences = []
    for name, now in taken(steps).items():
        known = [run.steps[name].seconds for run in before if name in run.steps]
        if len(known) < _FEWEST:
            continue
        usual = statistics.median(known)
        if now.seconds > _TIMES * usual and now.seconds - usual >= _SECONDS:
            sentences.append(
                f"{name} took {now.seconds:.0f} s, usually {usual:.0f} s (the median of "
                f"{len(known)} earlier runs)"
            )
    return sentences
