"""Losses and penalties in PyTorch. Twin of `keras_losses.py`.

With p the probabilities of the K classes, y the class of an image and s `label_smoothing`:

cross_entropy, nll     -(1 - s) log p[y] - s / K sum(log p)
binary_cross_entropy   -t log p - (1 - t) log(1 - p), t = (1 - s) y + s / 2, p that of class 1

(Szegedy and others 2016, arXiv:1512.00567, section 7.) A batch's loss is the mean over its images
of class weight x loss, not divided by the sum of the weights, plus
l1 sum(abs(kernel)) + l2 sum(kernel ** 2).
"""

import torch
from torch.nn import functional as F

from components.networks.custom_network import AnyArchitecture
from components.training.config import TrainConfig
from components.training.recipe import SMALLEST_PROBABILITY


def losses(
    outputs: torch.Tensor, labels: torch.Tensor, architecture: AnyArchitecture, smoothing: float
) -> torch.Tensor:
    """float32 (N,): the loss of each image, for outputs (N, units) and labels int64 (N,)."""
    outputs = outputs.float()
    if architecture.units == 1:
        target = labels * (1 - smoothing) + smoothing / 2
        if architecture.output == "logits":
            return F.binary_cross_entropy_with_logits(outputs[:, 0], target, reduction="none")
        p = outputs[:, 0].clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return -(target * p.log() + (1 - target) * (1 - p).log())
    match architecture.output:
        case "logits":
            logs = outputs.log_softmax(1)
        case "probabilities":
            logs = outputs.clamp_min(SMALLEST_PROBABILITY).log()
        case _:
            logs = outputs
    own = logs.gather(1, labels[:, None])[:, 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(1)


def predicted(outputs: torch.Tensor, architecture: AnyArchitecture) -> torch.Tensor:
    """int64 (N,): the most probable class."""
    if architecture.units == 1:
        threshold = 0.0 if architecture.output == "logits" else 0.5
        return (outputs[:, 0] > threshold).long()
    return outputs.argmax(1)


def penalty(kernels: list[torch.Tensor], config: TrainConfig) -> torch.Tensor | float:
    """The L1 and L2 terms of a batch's loss, 0.0 without any."""
    total: torch.Tensor | float = 0.0
    if config.l1:
        total = total + config.l1 * sum(kernel.abs().sum() for kernel in kernels)
    if config.l2:
        total = total + config.l2 * sum(kernel.square().sum() for kernel in kernels)
    return total
