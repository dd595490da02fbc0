"""How long artifacts take: `python -m export.verification.latency ARGS.json`.

With one thread each and in turn, a few calls at a time, so that whatever else the machine does
meanwhile falls on all alike. Every runtime is in a process of its own, which waits while the others
are measured: TensorFlow and PyTorch in one end each other.
"""

import contextlib
import itertools
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.base import atomic
from components.base.commands import Arguments, run
from components.data.arrays import ImageArrays, evenly
from export.formats import contract as contracts
from export.verification.records import Latencies
from export.verification.runtimes import open_artifact
from serving.contract.release_files import FORMATS

BATCHES = (1, 32)
ROUNDS = 20
_CALLS = 200
_SECONDS = 0.4
"""An artifact is called so often, or so long, at each batch size, over all rounds."""
_PATIENCE = 10.0
"""Seconds that a process may take to end."""


class LatencyArgs(Arguments):
    """Arguments of `latency`."""

    artifacts: list[tuple[str, str, Path]]
    """See `Artifact`."""
    arrays: Path
    output: Path
    """JSON to write: `Latencies`."""


def measure(args: LatencyArgs) -> Latencies:
    """Calls every artifact that can be opened, on images of the split test.

    One that cannot be opened, or not be run, has no entry: parity says of it what is wrong.
    """
    split = ImageArrays(args.arrays).split("test")
    images = [split.images(np.resize(evenly(len(split), batch), batch)) for batch in BATCHES]

    def runtime(artifact: Artifact) -> str:
        return FORMATS[artifact[1]].runtime

    found: Latencies = {}
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(_Worker(list(some), images))
            for _, some in itertools.groupby(sorted(args.artifacts, key=runtime), runtime)
        ]
        for number, batch in enumerate(BATCHES):
            times: dict[tuple[str, str], list[float]] = {}
            for _, worker in itertools.product(range(ROUNDS), workers):
                for key, seconds in worker.round(number).items():
                    times.setdefault(key, []).extend(seconds)
            for (whose, name), seconds in times.items():
                p50, p99 = (float(p) for p in np.percentile(seconds, (50, 99)) * 1000)
                row = found.setdefault(whose, {}).setdefault(name, {})
                row[str(batch)] = {"p50": p50, "p99": p99, "calls": len(seconds)}
    return found


Artifact = tuple[str, str, Path]
"""Whose it is, a name in `release_files.FORMATS`, and where it lies."""


class _Worker:
    """A process with one runtime's artifacts, which calls each a few times when it is asked to."""

    def __init__(self, artifacts: list[Artifact], images: list[np.ndarray]):
        context = multiprocessing.get_context("spawn")  # a runtime's threads survive no fork
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, artifacts, images), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # which ends it
        self._process.join(_PATIENCE)
        self._process.kill()

    def round(self, number: int) -> dict[tuple[str, str], list[float]]:
        """Seconds of a few calls of each artifact with the images of that number; nothing of a
        process that has ended, as a runtime may end it."""
        with contextlib.suppress(EOFError, OSError):
            self._pipe.send(number)
            return self._pipe.recv()
        return {}


def _work(pipe: Any, artifacts: list[Artifact], images: list[np.ndarray]) -> None:
    """Answers each number that comes through the pipe, until it is closed."""
    calls: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {}
    for whose, name, path in artifacts:
        try:
            call = open_artifact(name, path, 1).signatures[contracts.IMAGE]
            for some in (*images, *images):  # the first calls of a shape plan and allocate
                call(some)
            calls[whose, name] = call
        except Exception as error:  # noqa: BLE001 - runtimes raise whatever they like
            print(f"latency of {whose} {name}: {type(error).__name__}: {error}", flush=True)
    with contextlib.suppress(EOFError):
        while True:
            number = pipe.recv()
            pipe.send({key: _timed(call, images[number]) for key, call in calls.items()})


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
