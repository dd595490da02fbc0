"""The architecture description as a PyTorch network. Twin of `keras_model.py`."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from components import atomic
from components.architectures import (
    AnyLayer,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    Relu,
    layer_shapes,
)
from components.network import Network, weights_file

WEIGHTS = "model.safetensors"


class ChannelsLastFlatten(nn.Module):
    """(N, C, H, W) to (N, H*W*C): Keras's order, so that dense weights move by a transpose."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class GlobalAverage(nn.Module):
    """(N, C, H, W) to (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class ImageNetwork(nn.Sequential):
    """`x` float32 (N, C, H, W), 0 to 255, to logits (N, classes); normalisation comes first.

    Submodules carry the names of `Architecture.named_layers()`. The normalisation's constants are
    part of `network.json`, not of the weights: their buffers are not persistent.
    """

    def __init__(self, network: Network):
        super().__init__()
        spec = network.spec
        for name, values in (("scale", spec.scale), ("offset", spec.offset)):
            constant = torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
            self.register_buffer(name, constant, persistent=False)
        channels = spec.channels
        shapes = layer_shapes(network.architecture, spec.shape)
        for (name, description), shape in zip(network.architecture.named_layers(), shapes):
            self.add_module(name, layer(name, description, channels))
            channels = shape[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * self.scale + self.offset)


def layer(name: str, description: AnyLayer, channels: int) -> nn.Module:
    """The PyTorch layer called `name` for an input of `channels` channels (or units).

    Convolutions and dense layers start from Glorot uniform with zero bias, as Keras's do.
    """
    match description:
        case Conv():
            module = nn.Conv2d(
                channels, description.filters, description.kernel, padding=description.padding
            )
        case BatchNorm():
            module = nn.BatchNorm2d(
                channels, eps=description.epsilon, momentum=1 - description.momentum
            )
        case Relu():
            module = nn.ReLU()
        case MaxPool():
            module = nn.MaxPool2d(description.size)
        case GlobalAveragePool():
            module = GlobalAverage()
        case Flatten():
            module = ChannelsLastFlatten()
        case Dense():
            module = nn.Linear(channels, description.units)
        case Dropout():
            module = nn.Dropout(description.rate)
        case _:
            raise TypeError(f"layer {name}: PyTorch has no translation of {description!r} yet.")
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    return module


def build(network: Network) -> ImageNetwork:
    """A network with fresh weights, in training mode, on the CPU."""
    return ImageNetwork(network)


def parameter_count(module: nn.Module) -> int:
    """Number of weights, batch norm's moving statistics included (its step counter is none)."""
    state = module.state_dict().items()
    return sum(t.numel() for name, t in state if not name.endswith("num_batches_tracked"))


def not_finite(module: nn.Module) -> list[str]:
    """Names of the weights that hold a NaN or an infinity."""
    state = module.state_dict().items()
    return [name for name, tensor in state if not tensor.isfinite().all()]


def save(module: nn.Module, network: Network, directory: str | Path) -> None:
    """Writes a model directory: the weights, then `network.json`."""
    save_weights(module, Path(directory) / WEIGHTS)
    network.with_framework("torch").save(directory)


def save_weights(module: nn.Module, path: Path) -> None:
    """Replaces the safetensors file `path` in one rename."""
    state = {name: tensor.contiguous().cpu() for name, tensor in module.state_dict().items()}
    with atomic.replacing(path) as temporary:
        safetensors.torch.save_file(state, temporary)


def load_weights(module: nn.Module, path: Path) -> None:
    """Reads a safetensors file into `module`. Raises ValueError when it does not fit."""
    try:
        module.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} does not hold this network's weights: {error}") from error


def load(directory: str | Path) -> ImageNetwork:
    """The trained network of a model directory, in eval mode, on the CPU.

    Raises ValueError when a file is missing or does not fit.
    """
    module = build(Network.load(directory))
    load_weights(module, weights_file(directory, WEIGHTS))
    return module.eval()
