"""Runs without a verdict: what a run notes meanwhile, and what is made of that after a kill."""

import contextlib
import dataclasses
import datetime
import json
import threading
import time
from pathlib import Path
from typing import Any

from components.base import atomic
from pipeline.line.steps import KILLED, Step
from pipeline.outcome.verdict import Verdict, point_latest

FILE = "progress.json"
"""In the run's directory until there is a verdict."""
EXIT_KILLED = 137
"""As shells have it after SIGKILL; a machine that stopped leaves the same traces."""


class Progress:
    """What a run is doing, on disk; told of steps from whichever threads."""

    def __init__(self, directory: Path, verdict: Verdict):
        self._path, self._lock = directory / FILE, threading.Lock()
        self._began = time.monotonic()
        self._values: dict[str, Any] = {
            "preset": verdict.preset, "name": verdict.name, "running": [], "steps": [],
        }  # fmt: skip
        self._write()

    def started(self, step: str) -> None:
        with self._lock:
            self._values["running"].append(step)
            self._write()

    def finished(self, step: Step) -> None:
        with self._lock:
            self._values["running"] = [n for n in self._values["running"] if n != step.name]
            self._values["steps"].append(as_row(step))
            self._write()

    def _write(self) -> None:
        self._values["seconds"] = time.monotonic() - self._began
        with contextlib.suppress(OSError):  # notes are no reason to lose a run
            atomic.write(self._path, json.dumps(self._values) + "\n")


def forget(directory: Path) -> None:
    """To be called when the run's verdict is on disk."""
    (directory / FILE).unlink(missing_ok=True)


def as_row(step: Step) -> dict[str, Any]:
    """A step as the verdict lists it."""
    values = dataclasses.asdict(step)
    del values["outputs"]
    return values


def noted(directory: Path) -> dict[str, Any]:
    """What a run without a verdict noted last; of one that noted nothing, only the keys."""
    values = {"preset": "", "name": "", "running": [], "steps": [], "seconds": 0.0}
    with contextlib.suppress(OSError, ValueError):
        values |= json.loads((directory / FILE).read_text())
    return values


def where(directory: Path) -> str:
    """In which step a run without a verdict was, as `during train_keras`."""
    values = noted(directory)
    if values["running"]:
        return f"during {' and '.join(values['running'])}"
    return f"after {values['steps'][-1]['name']}" if values["steps"] else "before its first step"


def close_killed(runs: Path) -> list[Verdict]:
    """Gives each run without a verdict the verdict of having been killed, and moves `latest` to the
    newest; returns those verdicts, oldest first. To be called while the output root is locked,
    before a run of one's own begins."""
    killed = [
        directory
        for directory in sorted(runs.iterdir() if runs.is_dir() else ())
        if directory.is_dir()
        and not directory.is_symlink()
        and not (directory / "verdict.json").exists()
    ]
    return [_close(directory) for directory in killed]


def _close(directory: Path) -> Verdict:
    values = noted(directory)
    verdict = Verdict(
        run_id=directory.name,
        preset=values["preset"],
        name=values["name"],
        exit_code=EXIT_KILLED,
        steps=values["steps"],
        seconds=_seconds(directory, values["seconds"]),
        sentence=(
            f"Killed {where(directory)}, or the machine stopped: the same command goes on from "
            "the last finished step."
        ),
    )
    for running in values["running"]:
        spent = max(0.0, verdict.seconds - values["seconds"])
        verdict.steps.append(as_row(Step(running, spent, False, KILLED)))
    verdict.write(directory)
    for path in (directory / FILE, *directory.glob(".*")):  # atomic.replacing's, too
        path.unlink(missing_ok=True)
    for path in directory.parent.glob(".latest-*"):
        path.unlink(missing_ok=True)
    latest = directory.parent / "latest"
    if not latest.is_symlink() or latest.readlink().name < directory.name:
        point_latest(directory.parent, directory.name)
    return verdict


def _seconds(directory: Path, least: float) -> float:
    """From the run's beginning, which its id tells, until the last file was written to."""
    with contextlib.suppress(ValueError, OSError):
        began = datetime.datetime.strptime(directory.name, "%Y%m%d-%H%M%S-%f")
        last = max(path.stat().st_mtime for path in directory.iterdir())
        return max(least, last - began.replace(tzinfo=datetime.UTC).timestamp())
    return least
