"""Layers that PyTorch does not have, and those that mean what its own do and cost less while
training on a CPU. Twin of `keras_layers.py`.

Measured on two cores with the CIFAR-10 network in bfloat16: dropout's serial random generator took
a sixth of a step, and the gradient of a mean over height and width, which is spread by strides of
zero, made every layer before it leave channels-last memory.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

BatchNorm = nn.BatchNorm2d
ChannelDropout = nn.Dropout2d


class Dropout(nn.Module):
    """Zeroes each value with probability `rate` while training and scales the others up.

    On a CPU `rate` is taken to the nearest 1/256 (but above zero): eight values share one random
    number of 64 bits.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.rate)
        return x * _mask(x, self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def _mask(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Zeros and 1 / (1 - rate), in the shape, type and memory order of `x`."""
    dropped = min(255, max(1, round(256 * rate)))
    numbers = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = numbers.view(torch.uint8)[: x.numel()] >= dropped
    flat = kept.to(x.dtype).mul_(256 / (256 - dropped))
    # Whatever the memory order, each value has one of the numbers.
    return flat.as_strided(x.shape, x.stride()) if _dense(x) else flat.view(x.shape)


def _dense(x: torch.Tensor) -> bool:
    return x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)


class GlobalAverage(nn.Module):
    """(N, C, H, W) to (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and x.device.type == "cpu":
            return _Average.apply(x)
        return x.mean((2, 3))


class _Average(torch.autograd.Function):
    """The mean, whose gradient is in channels-last memory order."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        context.shape = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        height, width = context.shape[2:]
        spread = (gradient / (height * width))[:, :, None, None].expand(context.shape)
        return spread.contiguous(memory_format=torch.channels_last)


class ChannelsLastFlatten(nn.Module):
    """(N, C, H, W) to (N, H*W*C): Keras's order, so that dense weights move by a transpose."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class PaddedConv2d(nn.Conv2d):
    """A convolution with as many zeros as `edges` says for the sides of what comes in: PyTorch
    itself pads both ends of an axis alike, whatever its size. TensorFlow's `same` pads the end by
    one more where the number is odd, and with a stride the number depends on the size."""

    def __init__(self, *arguments: Any, edges: Callable[[int], tuple[int, int]], **options: Any):
        super().__init__(*arguments, **options)
        self.edges = edges

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = self.edges(x.shape[2]), self.edges(x.shape[3])
        return super().forward(nn.functional.pad(x, (*columns, *rows)))


class Final(nn.Module):
    """Softmax, log_softmax (over the channels) or sigmoid, in float32 under autocast too."""

    def __init__(self, function: str):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float()
        if self.function == "sigmoid":
            return x.sigmoid()
        return x.softmax(1) if self.function == "softmax" else x.log_softmax(1)

    def extra_repr(self) -> str:
        return self.function


class Normalise(nn.Module):
    """`x * scale + offset`; the constants are no weights, see `torch_model.ImageNetwork`."""

    def __init__(self, scale: torch.Tensor, offset: torch.Tensor):
        super().__init__()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.offset
