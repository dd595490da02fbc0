"""Wall time, processor time and memory of a command with all its processes."""

import dataclasses
import resource
import subprocess
import threading
import time
from typing import IO

import psutil

_SECONDS, _COST = 0.2, 0.02
"""Between two looks at the memory, which take no more than that share of a core: pages of processes
that share them have to be counted one by one."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """`seconds` is wall time, `cpu_seconds` that of all processes that have ended; `samples` are
    pairs of time (of the epoch) and bytes held."""

    code: int
    seconds: float
    cpu_seconds: float
    samples: list[tuple[float, int]]

    def peak(self, start: float = 0.0, stop: float = float("inf")) -> int:
        """Most bytes held from `start` to `stop`, 0 where nothing was seen.

        What only one sample shows is none: a process that forks while the family is being read
        is counted twice.
        """
        held = [held for at, held in self.samples if start <= at <= stop]
        return max(map(min, held, held[1:] or held), default=0)


def measure(command: list[str], stderr: IO[str] | None = None) -> Measured:
    """Runs a command to its end; its standard output is dropped."""
    start, cpu = time.perf_counter(), _children_seconds()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    samples, done = [], threading.Event()

    def watch() -> None:
        wait = _SECONDS
        while not done.wait(wait):
            began = time.thread_time()
            samples.append((time.time(), memory(process.pid)))
            wait = max(_SECONDS, (time.thread_time() - began) / _COST)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code = process.wait()
        seconds, cpu = time.perf_counter() - start, _children_seconds() - cpu
    finally:  # where the benchmark itself is told to end, too
        process.terminate()
        process.wait()  # it may have its files in a folder that is to be removed next
        done.set()
        watcher.join()
    return Measured(code, seconds, cpu, samples)


def _children_seconds() -> float:
    """Processor seconds of this process's children that have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(pid: int) -> int:
    """Bytes that a process and its children hold: shared pages are divided among their users."""
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += member.memory_full_info().pss
        except psutil.Error:
            continue
    return total
