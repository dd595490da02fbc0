"""The architecture description as a PyTorch network. Twin of `keras_model.py`."""

from collections import OrderedDict
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from components.base import atomic
from components.networks import pretrained
from components.networks.custom_network import AnyArchitecture, CustomNetwork
from components.networks.description import SMALLEST_PROBABILITY, Placed
from components.networks.layers import FINAL, Activation, Conv, DepthwiseConv
from components.networks.network import Network, weights_file
from components.networks.torch_layers import (
    BatchNorm,
    ChannelDropout,
    ChannelsLastFlatten,
    Dropout,
    Final,
    GlobalAverage,
    Normalise,
    PaddedConv2d,
)

WEIGHTS = "model.safetensors"

_STATISTICS = ("running_mean", "running_var")
# Their gradients do not need what they give, so that a ReLU may write over it.
_OVERWRITABLE = (
    "conv", "depthwise_conv", "batch_norm", "dense", "residual", "inverted_residual"
)  # fmt: skip


class Block(nn.Module):
    """What the inner layers make of `x`. A residual block adds `x` itself, or its projection where
    there is one, an inverted one only where the shapes are alike."""

    def __init__(self, placed: Placed):
        super().__init__()
        self.inner = tuple(_add_layers(self, placed.inner))
        self.projection = layer(placed.projection) if placed.projection else None
        self.adds_input = placed.adds_input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.projection is None else self.projection(x)
        for name in self.inner:
            x = self.get_submodule(name)(x)
        return x + shortcut if self.adds_input else x


class ImageNetwork(nn.Sequential):
    """`x` float32 (N, C, H, W), 0 to 255, to what `Architecture.output` says, (N, units);
    normalisation comes first.

    Submodules carry the names of the description, those inside of blocks too. The
    normalisation's constants are part of `network.json`, not of the weights: their buffers are not
    persistent.
    """

    def __init__(self, network: Network):
        super().__init__()
        spec = network.spec
        for name, values in (("scale", spec.scale), ("offset", spec.offset)):
            constant = torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
            self.register_buffer(name, constant, persistent=False)
        _add_layers(self, network.architecture.placed(spec.shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * self.scale + self.offset)


def _add_layers(module: nn.Module, layers: tuple[Placed, ...]) -> list[str]:
    """Adds the layers in order; their names within `module`."""
    names, previous = [], None
    for placed in layers:
        names.append(placed.name.rpartition(".")[2])
        module.add_module(names[-1], layer(placed, overwrite=previous in _OVERWRITABLE))
        previous = placed.layer.kind
    return names


def layer(placed: Placed, overwrite: bool = False) -> nn.Module:
    """The PyTorch layer; a ReLU may `overwrite` its input, which saves a pass over memory.

    Convolutions and dense layers start from Glorot uniform with zero bias, as Keras's do.
    """
    description, channels = placed.layer, placed.before[-1]
    match description.kind:
        case "conv" | "depthwise_conv":
            module = _conv(description, channels)
        case "batch_norm":
            kind = BatchNorm if len(placed.before) == 3 else nn.BatchNorm1d
            module = kind(channels, eps=description.epsilon, momentum=1 - description.momentum)
        case "activation":
            module = _activation(description, overwrite)
        case "max_pool":
            module = nn.MaxPool2d(description.kernel, description.step)
        case "average_pool":
            module = nn.AvgPool2d(description.kernel, description.step)
        case "global_average_pool":
            module = GlobalAverage()
        case "flatten":
            module = ChannelsLastFlatten()
        case "dense":
            module = nn.Linear(channels, description.units)
        case "dropout":
            module = Dropout(description.rate)
        case "channel_dropout":
            module = ChannelDropout(description.rate)
        case "residual" | "inverted_residual":
            module = Block(placed)
        case _:
            raise TypeError(f"{placed.name}: PyTorch has no translation of {description!r} yet.")
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return module


def _conv(description: Conv | DepthwiseConv, channels: int) -> nn.Conv2d:
    options = {"stride": description.stride, "bias": description.bias}
    filters = channels
    if isinstance(description, Conv):
        filters = description.filters
    else:
        options["groups"] = channels
    arguments = (channels, filters, description.kernel)
    same = description.padding == "same" and description.kernel > 1
    if same and (description.stride > 1 or description.kernel % 2 == 0):
        return PaddedConv2d(*arguments, edges=description.edges, **options)
    return nn.Conv2d(*arguments, padding=description.edges(1)[0], **options)


def _activation(description: Activation, overwrite: bool) -> nn.Module:
    match description.function:
        case "relu":
            return nn.ReLU(inplace=overwrite)
        case "relu6":
            return nn.ReLU6(inplace=overwrite)
        case "leaky_relu":
            return nn.LeakyReLU(description.negative_slope)
        case "elu":
            return nn.ELU()
        case "gelu":
            return nn.GELU()
        case "silu":
            return nn.SiLU()
        case "tanh":
            return nn.Tanh()
        case function if function in FINAL:
            return Final(function)
    raise TypeError(f"PyTorch has no translation of {description!r} yet.")


def traceable(module: nn.Module) -> nn.Module:
    """The module, no part of which writes over its input any more: those that do, PyTorch's
    exporters first take apart symbolically (EfficientNet-Lite0's ReLU6 took half of the 15 s of its
    ONNX file)."""
    for part in module.modules():
        if getattr(part, "inplace", False):
            part.inplace = False
    return module


def probabilities(
    outputs: torch.Tensor, architecture: AnyArchitecture, temperature: float = 1.0
) -> torch.Tensor:
    """What a network of that architecture gives, (N, units), as probabilities float32
    (N, classes); one unit is that of the second of two classes.

    `temperature` divides the logits, see components/evaluation/temperature.py; 1 adds nothing to
    the graph.
    """
    outputs, kind = outputs.float(), architecture.output
    if temperature != 1:
        outputs, kind = _logits(outputs, architecture) / temperature, "logits"
    if architecture.units == 1:
        second = outputs.sigmoid() if kind == "logits" else outputs
        return torch.cat([1 - second, second], dim=-1)
    match kind:
        case "logits":
            return outputs.softmax(-1)
        case "log_probabilities":
            return outputs.exp()
    return outputs


def _logits(outputs: torch.Tensor, architecture: AnyArchitecture) -> torch.Tensor:
    """Logits, up to a constant for each image, of float32 outputs."""
    if architecture.output != "probabilities":
        return outputs
    logs = outputs.clamp_min(SMALLEST_PROBABILITY).log()
    if architecture.units == 1:
        return logs - (1 - outputs).clamp_min(SMALLEST_PROBABILITY).log()
    return logs


def build(network: Network) -> nn.Module:
    """A network with fresh weights, in training mode, on the CPU: an `ImageNetwork`, or what a
    custom network's builder gives. Raises ValueError when that is no such network."""
    if isinstance(network.architecture, CustomNetwork):
        return _custom(network.architecture, network)
    return ImageNetwork(network)


def _custom(architecture: CustomNetwork, network: Network) -> nn.Module:
    height, width, channels = shape = network.spec.shape
    name, expected = architecture.name, (2, len(network.labels))
    module = architecture.build("torch", shape)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"{name}'s PyTorch builder gives {type(module).__name__}, expected a torch.nn.Module."
        )
    with torch.no_grad():  # lazy layers make their parameters here, which are to be trained
        try:
            given = tuple(module.eval()(torch.zeros((2, channels, height, width))).shape)
        except Exception as error:
            raise ValueError(f"{name}'s PyTorch network fails on images: {error}") from error
    if given != expected:
        raise ValueError(
            f"{name}'s PyTorch network gives {given} for two images, expected logits {expected}."
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"{name}'s PyTorch network has no parameter to train, expected one.")
    return module.train()


@torch.no_grad()
def load_backbone(module: nn.Module, network: Network) -> None:
    """Puts the pretrained weights into the backbone of a `network` that `build` made.

    Raises ValueError where it has none, and ConfigError where the weights cannot be had, see
    `pretrained.weights_path`.
    """
    state = module.state_dict()
    for name, array in pretrained.backbone_weights(network).items():
        state[name].copy_(torch.from_numpy(array))


def backbone_of(module: nn.Module, network: Network) -> nn.Sequential:
    """The module from float32 (N, C, H, W), 0 to 255, to features (N, units), of the same layers
    as `module`, and where that is now. Raises ValueError where it has no backbone."""
    assert isinstance(module, ImageNetwork)
    layers = [(p.name, module.get_submodule(p.name)) for p in network.backbone_layers]
    normalise = ("normalise", Normalise(module.scale, module.offset))
    return nn.Sequential(OrderedDict([normalise, *layers]))


def head_of(module: nn.Module, network: Network) -> nn.Sequential:
    """The module from features (N, units) to what `module` gives, of the same layers as it. Raises
    ValueError where it has no backbone."""
    layers = [(p.name, module.get_submodule(p.name)) for p in network.head_layers]
    return nn.Sequential(OrderedDict(layers))


def freeze(module: nn.Module, network: Network, trained: int) -> list[nn.Module]:
    """Leaves only the head and the last `trained` layers of the backbone to training, without batch
    norms. Returns the modules that are to be in eval mode then, whatever the rest is in."""
    frozen = [module.get_submodule(name) for name in network.frozen_layers(trained)]
    for layer in frozen:
        layer.requires_grad_(False)
    return frozen


def parameter_count(module: nn.Module) -> int:
    """Number of weights, batch norm's moving statistics included (its step counter is none)."""
    state = module.state_dict().items()
    return sum(t.numel() for name, t in state if not name.endswith("num_batches_tracked"))


def not_finite(module: nn.Module) -> list[str]:
    """Names of the parameters, and of batch norm's statistics, that hold a NaN or an infinity; a
    network's other constants may be infinite, as masks are."""
    found = dict(module.named_parameters())
    found |= {n: b for n, b in module.named_buffers() if n.rpartition(".")[2] in _STATISTICS}
    return [name for name, tensor in found.items() if not tensor.isfinite().all()]


def save(module: nn.Module, network: Network, directory: str | Path) -> None:
    """Writes a model directory: the weights, then `network.json`."""
    save_weights(module, Path(directory) / WEIGHTS)
    network.with_framework("torch").save(directory)


def save_weights(module: nn.Module, path: Path) -> None:
    """Replaces the safetensors file `path` in one rename."""
    # Copies, as safetensors refuses weights that share memory, such as two layers' common ones.
    state = module.state_dict().items()
    copies = {
        name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state
    }
    with atomic.replacing(path) as temporary:
        safetensors.torch.save_file(copies, temporary)


def load_weights(module: nn.Module, path: Path) -> None:
    """Reads a safetensors file into `module`. Raises ValueError when it does not fit."""
    try:
        module.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} does not hold this network's weights: {error}") from error


def load(directory: str | Path) -> nn.Module:
    """The trained network of a model directory, in eval mode, on the CPU.

    Raises ValueError when a file is missing or does not fit.
    """
    module = build(Network.load(directory))
    load_weights(module, weights_file(directory, WEIGHTS))
    return module.eval()
