"""Calls one runtime's artifacts when told to.

`python -m export.verification.latency_worker ARGS.json` answers each number of images that comes
through its connection with the seconds of some calls, until that is closed.
"""

import contextlib
import multiprocessing.connection
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.base.commands import Arguments, run
from components.base.unix_socket import short_address
from components.data.arrays import ImageArrays, evenly
from export.formats import contract as contracts
from export.verification.config import is_large
from export.verification.runtimes import open_artifact

_BATCHES = (1, 32)
ROUNDS = 20
_CALLS = 200
_SECONDS = 0.4
"""An artifact is called so often, or so long, at each batch size, over all rounds."""

Artifact = tuple[str, str, Path]
"""Whose it is, a name in `release_files.FORMATS`, and where it lies."""


def batches_at(arrays: Path) -> tuple[int, ...]:
    """Numbers of images at once whose latency is measured; of large images one alone, as 32 of them
    take seconds, and gigabytes where several artifacts are open beside each other."""
    height, width, _ = ImageArrays(arrays).spec.shape
    return _BATCHES[:1] if is_large(height, width) else _BATCHES


def rounds_at(arrays: Path) -> int:
    """In how many rounds; of large images half as many, each call of which takes long enough."""
    height, width, _ = ImageArrays(arrays).spec.shape
    return ROUNDS // 2 if is_large(height, width) else ROUNDS


class WorkerArgs(Arguments):
    """Arguments of `latency_worker`."""

    artifacts: list[Artifact]
    arrays: Path
    """Whose split test gives the images."""
    address: str
    """Of a Unix socket that listens for a `multiprocessing.connection.Client`."""


def main(args: WorkerArgs) -> None:
    """Opens what can be opened, each with one thread, and serves the connection."""
    split = ImageArrays(args.arrays).split("test")
    images = {n: split.images(np.resize(evenly(len(split), n), n)) for n in batches_at(args.arrays)}
    calls: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {}
    with short_address(args.address) as address:
        client = multiprocessing.connection.Client(address)
    with client as connection:
        for whose, name, path in args.artifacts:
            try:
                call = open_artifact(name, path, 1).signatures[contracts.IMAGE]
                for some in (*images.values(), *images.values()):  # the first plan and allocate
                    call(some)
                calls[whose, name] = call
            except Exception as error:  # noqa: BLE001 - runtimes raise whatever they like
                print(f"latency of {whose} {name}: {type(error).__name__}: {error}", flush=True)
        with contextlib.suppress(EOFError):
            while True:
                some = images[connection.recv()]
                connection.send({key: _timed(call, some) for key, call in calls.items()})


def _timed(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> list[float]:
    """Seconds of each call of one round, at least one."""
    seconds: list[float] = []
    while len(seconds) < _CALLS // ROUNDS and sum(seconds) < _SECONDS / ROUNDS:
        started = time.perf_counter()
        call(images)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    run("export.verification.latency_worker", WorkerArgs, main)
