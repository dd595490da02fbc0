"""What the steps of a run report while it goes on."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from components.base import disk
from components.base.refusal import Refusal
from pipeline.line import damage
from pipeline.line.interruption import Interrupted
from pipeline.line.steps import INTERRUPTED, Step


class Watcher:
    """What the steps report, from whichever threads; `artifacts` is where they write, `damaged`
    says of nodes why their outputs could not be taken from the cache, `inferred` are the steps'
    parameters that follow from the images."""

    def __init__(
        self,
        started: Callable[[str], None],
        finished: Callable[[Step], None],
        inferred: frozenset[str],
        artifacts: Path,
        damaged: dict[str, str],
    ):
        self.inferred = inferred
        self.images = ""  # what became of them, once ingest has run on other ones
        self.steps: list[Step] = []
        self.error: BaseException | None = None
        self.artifacts, self.damaged = artifacts, damaged
        self._started, self._finished = started, finished
        self._running: dict[str, float] = {}
        self._ended = False
        self._lock = threading.RLock()
        self.metadata = threading.Lock()
        """Held by whoever writes to ML Metadata: its database knows one writer."""
        self.this_process = threading.Lock()
        """Held by whatever step works in this process, on all cores."""

    def begin(self, name: str) -> None:
        with self._lock:
            if self._ended:
                raise RuntimeError("the run has ended")
            self._running[name] = time.monotonic()
            self._started(name)

    def end(
        self,
        name: str,
        cached: bool,
        why: str,
        outputs: dict[str, str] | None = None,
        peak_memory: int = 0,
    ) -> None:
        with self._lock:
            if not self._ended:
                seconds = time.monotonic() - self._running.pop(name)
                self.steps.append(Step(name, seconds, cached, why, outputs or {}, peak_memory))
                self._finished(self.steps[-1])

    def fail(self, error: BaseException) -> None:
        """Keeps the first error; an interruption is the reason of all that follow it."""
        with self._lock:
            if self.error is None or isinstance(error, Interrupted):
                self.error = error

    def explained(self, error: BaseException, name: str) -> BaseException:
        """The error of the step `name` as it was raised, or that the disk is full where that is
        behind it."""
        error = _cause(error)
        known = isinstance(error, Refusal) and not isinstance(error, disk.DiskFull)
        if known or not (disk.is_full(error) or disk.nothing_free(self.artifacts)):
            return error
        logging.error("The disk is full", exc_info=error)
        return disk.disk_full(self.artifacts, _room(self.artifacts, self.steps, name))

    def close(self) -> None:
        """Steps that still run are given up, and nothing is reported any more."""
        with self._lock:
            for name in list(self._running):
                self.end(name, False, INTERRUPTED)
            self._ended = True


def _cause(error: BaseException) -> BaseException:
    """The refusal inside a chain of wrappers, as TFX makes them, if there is one."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, Refusal):
            return link
        link = link.__cause__ or link.__context__
    return error


def _room(artifacts: Path, steps: list[Step], name: str) -> str:
    """What is known of how much the step `name`, which found the disk full, needs."""
    listed = [
        (int(path.name), bytes_)
        for path in (artifacts / name).glob("[!.]*/*")
        if path.name.isdigit() and (bytes_ := damage.listed_bytes(path))
    ]
    if listed:
        took = sum(bytes_ for number, bytes_ in listed if number == max(listed)[0])
        return f", and step {name} wrote {disk.size(took)} the time before"
    took = sum(damage.listed_bytes(Path(uri)) for step in steps for uri in step.outputs.values())
    return f", and this run's finished steps wrote {disk.size(took)}"
