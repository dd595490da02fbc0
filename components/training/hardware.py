"""What the machine gives to a training: threads, bfloat16, memory."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from components.base.process import has_gpu
from components.training.config import TrainConfig
from components.training.training_record import TrainingError

_MEMORY = 4 * 2**30
"""Bytes of the machine for each training and what it has beside it."""


_trainings = 1


@contextlib.contextmanager
def trainings_in_line(count: int) -> Iterator[None]:
    """While it lasts, the line that this process runs has so many trainings. Not a parameter of
    theirs: one that was trained beside another is not trained again because it is alone."""
    global _trainings
    before, _trainings = _trainings, count
    try:
        yield
    finally:
        _trainings = before


def trainings() -> int:
    """How many trainings the line has that this process runs; 1 where it runs none."""
    return _trainings


def cpu_has_bfloat16() -> bool:
    """Whether this machine's processor multiplies bfloat16 in units of its own."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("amx_bf16", "avx512_bf16", "bf16mm"))


def thread_count(threads: int) -> int:
    """`threads`, or as many as there are cores for this process when it is 0."""
    return threads or len(os.sched_getaffinity(0))


def fit_beside_each_other(trainings: int, threads: int) -> bool:
    """Whether so many trainings may run at once, each with `threads` threads or, where that is 0,
    with its share of the cores.

    Two with half of the cores each are done sooner than one after the other with all of them: what
    a second thread adds to a small network's step is little. Not on a GPU, which one of them fills,
    nor where memory is short.
    """
    cores = len(os.sched_getaffinity(0))
    enough = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >= trainings * _MEMORY
    return not has_gpu() and enough and trainings * max(1, threads) <= cores


def share_of_threads(trainings: int, threads: int) -> int:
    """Threads of each of so many trainings at once; `threads` where it is not 0."""
    return threads or max(1, len(os.sched_getaffinity(0)) // trainings)


def too_large(config: TrainConfig) -> TrainingError:
    """What to do when the device's memory does not hold a batch."""
    size = config.batch_size
    smaller = max(1, 2 ** ((size - 1).bit_length() - 1))
    advice = f"try train.batch_size={smaller}" if smaller < size else "use a smaller network"
    return TrainingError(
        f"the device ran out of memory with train.batch_size {size}, expected room for a step: "
        f"{advice}."
    )
