"""How long artifacts take: `python -m export.verification.latency ARGS.json`.

All in one process with one thread each, in turn, so that whatever else the machine does meanwhile
falls on all alike.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.base import atomic
from components.base.commands import Arguments, run
from components.data.arrays import ImageArrays, evenly
from export.formats import contract as contracts
from export.verification.runtimes import open_artifact

LATENCY = "latency.json"
CURRENT = "current"
"""Whose latencies those of the current release are."""
BATCHES = (1, 32)
ROUNDS = 20
_CALLS = 200
_SECONDS = 0.4
"""An artifact is called so often, or so long, at each batch size, over all rounds."""

Latencies = dict[str, dict[str, dict[str, dict[str, float]]]]
"""By whose it is (a framework, or CURRENT), format and batch size: `p50` and
`p99` in milliseconds, and the number of `calls` they are of."""


class LatencyArgs(Arguments):
    """Arguments of `latency`."""

    artifacts: list[tuple[str, str, Path]]
    """(whose, a name in `release_files.FORMATS`, path)."""
    arrays: Path
    output: Path
    """JSON to write: `Latencies`."""


def measure(args: LatencyArgs) -> Latencies:
    """Calls every artifact that can be opened, on images of the split test.

    One that cannot be opened, or not be run, has no entry: parity says of it what is wrong.
    """
    split = ImageArrays(args.arrays).split("test")
    images = {batch: split.images(np.resize(evenly(len(split), batch), batch)) for batch in BATCHES}
    calls: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {}
    for whose, name, path in args.artifacts:
        try:
            calls[whose, name] = open_artifact(name, path, 1).signatures[contracts.IMAGE]
            for batch in BATCHES:  # the first calls of a shape plan and allocate
                calls[whose, name](images[batch])
                calls[whose, name](images[batch])
        except Exception as error:  # noqa: BLE001 - runtimes raise whatever they like
            print(f"latency of {whose} {name}: {type(error).__name__}: {error}", flush=True)
            calls.pop((whose, name), None)
    found: Latencies = {}
    for batch in BATCHES:
        times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
        for _ in range(ROUNDS):
            for key, call in calls.items():
                times[key] += _timed(call, images[batch])
        for (whose, name), seconds in times.items():
            p50, p99 = np.percentile(seconds, (50, 99)) * 1000
            found.setdefault(whose, {}).setdefault(name, {})[str(batch)] = {
                "p50": float(p50), "p99": float(p99), "calls": len(seconds),
            }  # fmt: skip
    return found


def _timed(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> list[float]:
    """Seconds of each call of one round, at least one."""
    seconds: list[float] = []
    while len(seconds) < _CALLS // ROUNDS and sum(seconds) < _SECONDS / ROUNDS:
        started = time.perf_counter()
        call(images)
        seconds.append(time.perf_counter() - started)
    return seconds


def main(args: LatencyArgs) -> None:
    """Writes what `measure` finds."""
    atomic.write(args.output, json.dumps(measure(args), indent=1) + "\n")


if __name__ == "__main__":
    run("export.verification.latency", LatencyArgs, main)
