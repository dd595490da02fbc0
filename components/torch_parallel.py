"""PyTorch's training on several devices: one process each, with DistributedDataParallel.

Each process takes its part of every batch; gradients are averaged, so that the step is that of one
process with the whole batch. Batch norm's statistics are those of the whole batch on GPUs
(SyncBatchNorm, which CPUs do not have) and of each part on a CPU.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from components.process import die_with_parent


@dataclasses.dataclass(frozen=True)
class Part:
    """This process among `count`, numbered from 0."""

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process keeps the record and the checkpoints."""
        return self.number == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` with averaged gradients. On GPUs batch norm becomes synchronised, in place."""
        if self.count == 1:
            return model
        if next(model.parameters()).device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model)

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Every `count`-th of the rows."""
        return rows[self.number :: self.count]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over all processes, in each of them."""
        return self.sum(values) / self.count

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in each of them."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


ALONE = Part()


def together(count: int, function: Callable, *arguments) -> None:
    """Runs `function(*arguments, Part)` in this process and `count - 1` more.

    The others end with this one, whatever ends it. Raises what this process's part raises.
    """
    if count == 1:
        return function(*arguments, ALONE)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        meeting = f"file://{folder}/meeting"
        context = multiprocessing.get_context("spawn")
        others = [
            context.Process(
                target=_run, args=(function, arguments, Part(n, count), meeting), daemon=True
            )
            for n in range(1, count)
        ]
        for other in others:
            stack.callback(other.join, 10)
            stack.callback(other.terminate)
            other.start()
        _run(function, arguments, Part(0, count), meeting)
        for other in others:
            other.join()


def _run(function: Callable, arguments: tuple, part: Part, meeting: str) -> None:
    if not part.first:
        die_with_parent()
    cuda = torch.cuda.is_available() and torch.cuda.device_count() >= part.count
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "nccl" if cuda else "gloo", init_method=meeting, rank=part.number, world_size=part.count
    )
    try:
        function(*arguments, part)
    finally:
        dist.destroy_process_group()
