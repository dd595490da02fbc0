"""PyTorch's training on several devices: one process each, with DistributedDataParallel.

Each process, a replica, takes its shard of every batch; gradients are averaged, so that the step is
that of one process with the whole batch. Batch norm's statistics are those of the whole batch on
GPUs (SyncBatchNorm, which CPUs do not have) and of each shard on a CPU.
"""

import contextlib
import dataclasses
import datetime
import multiprocessing
import os
import re
import tempfile
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from components.base.child import die_with_parent
from components.training.training_record import TrainingError

_PATIENCE = datetime.timedelta(minutes=5)
"""After which a process that waits for another gives up; nccl does not notice an end earlier."""
_ENDING = 10  # seconds until a process that failed is gone
_LOST = re.compile("gloo|nccl|connection (closed|reset)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Replica:
    """This process among `world_size`, numbered from 0."""

    rank: int = 0
    world_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process keeps the record and the checkpoints."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` with averaged gradients. On GPUs batch norm becomes synchronised, in place."""
        if self.world_size == 1:
            return model
        if next(model.parameters()).device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model)

    def shard(self, rows: np.ndarray) -> np.ndarray:
        """Every `world_size`-th of the rows."""
        return rows[self.rank :: self.world_size]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over all processes, in each of them."""
        return self.sum(values) / self.world_size

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in each of them."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def broadcast(self, values: Iterable[torch.Tensor]) -> None:
        """Gives every process the first one's values, in place."""
        if self.world_size > 1:
            for value in values:
                dist.broadcast(value, 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world_size > 1:
            dist.barrier()


SINGLE = Replica()


def launch(world_size: int, function: Callable, *arguments: Any) -> None:
    """Runs `function(*arguments, Replica)` in this process and `world_size - 1` more.

    The others end with this one, whatever ends it. Raises what this process raises, or
    TrainingError with what ended another.
    """
    if world_size == 1:
        return function(*arguments, SINGLE)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        others = [
            context.Process(
                target=_other,
                args=(function, arguments, Replica(n, world_size), Path(folder)),
                daemon=True,
            )
            for n in range(1, world_size)
        ]
        for other in others:
            stack.callback(other.join)
            stack.callback(other.kill)
            other.start()
        try:
            _run(function, arguments, Replica(0, world_size), Path(folder))
        except RuntimeError as error:
            if _lost_another(error):
                raise TrainingError(_reason(others, Path(folder), error)) from error
            raise
        for other in others:
            other.join()


def _run(function: Callable, arguments: tuple, replica: Replica, folder: Path) -> None:
    kind = "nccl" if torch.cuda.is_available() else "gloo"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        kind,
        init_method=f"file://{folder}/meeting",
        rank=replica.rank,
        world_size=replica.world_size,
        timeout=_PATIENCE,
    )
    try:
        function(*arguments, replica)
    finally:
        dist.destroy_process_group()


def _other(function: Callable, arguments: tuple, replica: Replica, folder: Path) -> None:
    """A process that is not the first; it leaves a sentence for that one when it fails."""
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None, "it was spawned"
    die_with_parent(parent.pid)
    try:
        _run(function, arguments, replica, folder)
    except Exception as error:  # noqa: BLE001 - the last resort of a process
        if not _lost_another(error):
            if not isinstance(error, ValueError):
                traceback.print_exc()
            (folder / f"{replica.rank}.error").write_text(str(error) or type(error).__name__)
        os._exit(1)


def _lost_another(error: Exception) -> bool:
    """Whether the error only says that another process has gone."""
    return isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def _reason(others: list, folder: Path, error: Exception) -> str:
    """Why one of the other processes has ended, in a sentence."""
    for other in others:
        other.join(_ENDING)
    for left in sorted(folder.glob("*.error")):
        return left.read_text()
    if not any(other.exitcode for other in others):
        return f"the processes that train together lost each other: {str(error).splitlines()[0]}"
    ended = [f"{n} with exit status {o.exitcode}" for n, o in enumerate(others, 1) if o.exitcode]
    return (
        f"of the {len(others) + 1} processes that train together, number {', '.join(ended)} ended "
        "too early (-9 is often the system running out of memory): expected all to last; start "
        "again, and training goes on from the last checkpoint."
    )
