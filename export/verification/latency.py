"""How long artifacts take.

With one thread each and in turn, a few calls at a time, so that whatever else the machine does
meanwhile falls on all alike. Every runtime is in a process of its own, which waits while the others
are measured: TensorFlow and PyTorch in one end each other.
"""

import contextlib
import itertools
import math
import multiprocessing.connection
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.base.frameworks import IMPORTED
from components.base.process import StepFailed, run_module
from components.base.unix_socket import short_address
from export.verification.latency_worker import Artifact, WorkerArgs, batches_at, rounds_at
from export.verification.records import Latencies
from serving.contract.release_files import FORMATS

_PATIENCE = 10.0
"""Seconds that a process may take to end."""


@contextlib.contextmanager
def workers(artifacts: list[Artifact], arrays: Path, seconds: float) -> Iterator["Workers"]:
    """Processes that open the artifacts, while the caller does something else; those that cannot be
    opened are left out. One that does not answer for so many seconds is ended; how long the caller
    takes meanwhile does not count."""

    def runtime(artifact: Artifact) -> str:
        return FORMATS[artifact[1]].runtime

    found = [
        _Worker(of, list(some), arrays, seconds)
        for of, some in itertools.groupby(sorted(artifacts, key=runtime), runtime)
    ]
    with contextlib.ExitStack() as stack:
        for worker in found:
            stack.enter_context(worker)
        try:
            yield Workers(found, batches_at(arrays), rounds_at(arrays))
        finally:
            for worker in found:  # all at once: ending takes a framework a second
                worker.hang_up()


class Workers:
    """One process for each runtime, see `workers`."""

    def __init__(self, found: list["_Worker"], batches: tuple[int, ...], rounds: int):
        self._workers, self._batches, self._rounds = found, batches, rounds

    def measure(self) -> Latencies:
        """Calls every artifact that could be opened, on images of the split test.

        One that could not, or cannot be run, has no entry: parity says of it what is wrong.
        """
        found: Latencies = {}
        for batch in self._batches:
            times: dict[tuple[str, str], list[float]] = {}
            for _, worker in itertools.product(range(self._rounds), self._workers):
                for key, measured in worker.round(batch).items():
                    times.setdefault(key, []).extend(measured)
            for (whose, name), measured in times.items():
                p50, p99 = (float(p) for p in np.percentile(measured, (50, 99)) * 1000)
                row = found.setdefault(whose, {}).setdefault(name, {})
                row[str(batch)] = {"p50": p50, "p99": p99, "calls": len(measured)}
        return found


class _Worker:
    """A process with one runtime's artifacts, which calls each a few times when it is asked to."""

    def __init__(self, runtime: str, artifacts: list[Artifact], arrays: Path, seconds: float):
        self._runtime, self._artifacts, self._arrays = runtime, artifacts, arrays
        self._seconds = seconds
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._connection: multiprocessing.connection.Connection | None = None
        self._hung_up_at = math.inf

    def __enter__(self) -> "_Worker":
        self._scratch = tempfile.TemporaryDirectory(prefix="darkroom-")
        self._listener = socket.socket(socket.AF_UNIX)
        with short_address(self._address()) as address:
            self._listener.bind(address)
        self._listener.listen(1)
        self._listener.settimeout(0.2)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._thread.join()
        self._scratch.cleanup()

    def hang_up(self) -> None:
        """Ends the process: when it notices, or after _PATIENCE."""
        self._hung_up_at = min(self._hung_up_at, time.monotonic())
        if self._connection is not None:
            self._connection.close()
        self._listener.close()

    def round(self, batch: int) -> dict[tuple[str, str], list[float]]:
        """Seconds of a few calls of each artifact with so many images; nothing of a process that
        has ended, as a runtime may end it."""
        with contextlib.suppress(EOFError, OSError):
            connection = self._connected()
            if connection is not None:
                connection.send(batch)
                if connection.poll(self._seconds):
                    return connection.recv()
                self.hang_up()
        return {}

    def _address(self) -> str:
        return str(Path(self._scratch.name) / "socket")

    def _connected(self) -> multiprocessing.connection.Connection | None:
        while self._connection is None and self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                accepted, _ = self._listener.accept()
                self._connection = multiprocessing.connection.Connection(accepted.detach())
        return self._connection

    def _run(self) -> None:
        args = WorkerArgs(artifacts=self._artifacts, arrays=self._arrays, address=self._address())
        module = "export.verification.latency_worker"
        try:
            run_module(
                module, args, self._scratch.name, seconds=None, threads=1, gpu=False,
                imports=IMPORTED[self._runtime], watch=self._look,
            )  # fmt: skip
        except StepFailed as error:
            print(f"latency of {self._runtime}: {error}", flush=True)

    def _look(self) -> None:
        if time.monotonic() - self._hung_up_at > _PATIENCE:
            raise StepFailed("its process did not end by itself")
