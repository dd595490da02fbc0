"""Muon for kernels of any number of axes. PyTorch's own takes matrices alone. Twin of `Muon` in
`keras_optimizers.py`.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch

from components.training.recipe import ADAM_EPSILON, MUON_RMS, ORTHOGONALIZED


class Muon(torch.optim.Adam):
    """Steps kernels along the nearest orthogonal matrix to their momentum, a row for each output
    (Jordan et al. 2024, kellerjordan.github.io/posts/muon); all else by Adam at the same rate."""

    def __init__(self, parameters: Iterable[Any], momentum: float, **options: Any):
        super().__init__(parameters, **options)
        self._momentum = momentum

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.ndim > 1 and kernel.grad is not None:
                    self._step_kernel(kernel, group["lr"])
                    kernel.grad = None  # nothing that Adam would step
        super().step()

    def __setstate__(self, state: dict) -> None:
        # Adam's own looks for Adam's state in every parameter's, to mend that of old versions.
        torch.optim.Optimizer.__setstate__(self, state)

    def _step_kernel(self, kernel: torch.Tensor, rate: float) -> None:
        state = self.state[kernel]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(kernel)
        momentum = state["momentum_buffer"].mul_(self._momentum).add_(kernel.grad)
        ahead = kernel.grad.add(momentum, alpha=self._momentum)
        update = _orthogonal(ahead.flatten(1))
        scale = MUON_RMS * math.sqrt(max(update.shape))
        kernel.sub_(update.view(kernel.shape), alpha=rate * scale)


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """float32 (A, B), with singular values near one."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + ADAM_EPSILON)
    for first, third, fifth in ORTHOGONALIZED:
        square = x @ x.T
        factor = torch.addmm(square, square, square, beta=third, alpha=fifth)
        x = torch.addmm(x, factor, x, beta=first)
    return x.T if tall else x
