"""What the machine gives to a training: threads, bfloat16, memory."""

import os
from pathlib import Path

from components.training.config import TrainConfig
from components.training.training_record import TrainingError


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


def too_large(config: TrainConfig) -> TrainingError:
    """What to do when the device's memory does not hold a batch."""
    size = config.batch_size
    smaller = max(1, 2 ** ((size - 1).bit_length() - 1))
    advice = f"try train.batch_size={smaller}" if smaller < size else "use a smaller network"
    return TrainingError(
        f"the device ran out of memory with train.batch_size {size}, expected room for a step: "
        f"{advice}."
    )
