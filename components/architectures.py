"""Architecture descriptions: one typed list of layers from which both frameworks build a network.

The vocabulary is the layer classes below; `keras_model.py` and `torch_model.py` each translate it.
A network's input is a float image on a 0-to-255 scale, its output is logits; normalisation belongs
to the ImageSpec and softmax to the loss and the exports.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Layer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Conv(Layer):
    """2-D convolution with bias, stride 1 by default; padding `same` or `valid`."""

    kind: Literal["conv"] = "conv"
    filters: int = Field(gt=0)
    kernel: int = Field(3, gt=0)
    padding: Literal["same", "valid"] = "same"


class BatchNorm(Layer):
    """Batch normalisation over N, H, W. `momentum` is the share of the old moving statistics kept
    at each step (Keras's convention; PyTorch's momentum is one minus this)."""

    kind: Literal["batch_norm"] = "batch_norm"
    epsilon: float = Field(1e-3, gt=0)
    momentum: float = Field(0.9, gt=0, lt=1)


class Relu(Layer):
    kind: Literal["relu"] = "relu"


class MaxPool(Layer):
    """Max pooling with stride equal to its size; a remainder at the border is dropped."""

    kind: Literal["max_pool"] = "max_pool"
    size: int = Field(2, gt=1)


class GlobalAveragePool(Layer):
    """Mean over height and width: (N, H, W, C) to (N, C)."""

    kind: Literal["global_average_pool"] = "global_average_pool"


class Flatten(Layer):
    """(N, H, W, C) to (N, H*W*C) in that order (PyTorch's networks permute first)."""

    kind: Literal["flatten"] = "flatten"


class Dense(Layer):
    kind: Literal["dense"] = "dense"
    units: int = Field(gt=0)


class Dropout(Layer):
    kind: Literal["dropout"] = "dropout"
    rate: float = Field(ge=0, lt=1)


AnyLayer = Annotated[
    Conv | BatchNorm | Relu | MaxPool | GlobalAveragePool | Flatten | Dense | Dropout,
    Field(discriminator="kind"),
]


class Architecture(BaseModel):
    """A named list of layers, the last one Dense with one unit per class."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    layers: tuple[AnyLayer, ...]

    def named_layers(self) -> list[tuple[str, Layer]]:
        """(name, layer) pairs; the names, like `00_conv`, are the same in both frameworks."""
        return [(f"{i:02d}_{layer.kind}", layer) for i, layer in enumerate(self.layers)]


def layer_shapes(architecture: Architecture, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shape after each layer, without the batch dimension, for an input of (H, W, C).

    Raises ValueError where a layer cannot take what the one before it gives.
    """
    shapes = []
    for name, layer in architecture.named_layers():
        if isinstance(layer, Dense) and len(shape) == 3:
            raise ValueError(
                f"architecture {architecture.name!r}, layer {name}: its input has shape {shape}, "
                "expected a flat one: put flatten or global_average_pool before it."
            )
        if isinstance(layer, (Conv, MaxPool, GlobalAveragePool, Flatten)) and len(shape) != 3:
            raise ValueError(
                f"architecture {architecture.name!r}, layer {name}: its input has shape {shape}, "
                "expected (height, width, channels): put it before flattening or pooling."
            )
        match layer:
            case Conv():
                lost = layer.kernel - 1 if layer.padding == "valid" else 0
                shape = (shape[0] - lost, shape[1] - lost, layer.filters)
            case MaxPool():
                shape = (shape[0] // layer.size, shape[1] // layer.size, shape[2])
            case GlobalAveragePool():
                shape = shape[-1:]
            case Flatten():
                shape = (shape[0] * shape[1] * shape[2],)
            case Dense():
                shape = (layer.units,)
        if min(shape) < 1:
            raise ValueError(
                f"architecture {architecture.name!r}, layer {name}: nothing is left of the image "
                f"(shape {shape}); use larger images or fewer pooling layers."
            )
        shapes.append(shape)
    return shapes


def parameter_count(architecture: Architecture, shape: tuple[int, int, int]) -> int:
    """Number of weights for an input of (H, W, C), batch norm's moving statistics included."""
    total, channels = 0, shape[-1]
    for layer, after in zip(architecture.layers, layer_shapes(architecture, shape)):
        match layer:
            case Conv():
                total += layer.kernel**2 * channels * layer.filters + layer.filters
            case Dense():
                total += channels * layer.units + layer.units
            case BatchNorm():
                total += 4 * channels
        channels = after[-1]
    return total


def _conv_block(filters: int, kernel: int = 3) -> list[Layer]:
    return [Conv(filters=filters, kernel=kernel), Relu(), BatchNorm()]


def digits(classes: int) -> Architecture:
    """For images of about 8x8: two convolutions, one pooling, a dense head."""
    return Architecture(
        name="digits",
        layers=(
            *_conv_block(32), *_conv_block(64), MaxPool(), Dropout(rate=0.25),
            Flatten(), Dense(units=64), Relu(), Dropout(rate=0.5), Dense(units=classes),
        ),
    )  # fmt: skip


def mnist(classes: int) -> Architecture:
    """For images of about 28x28: two convolutions with pooling, a dense head.

    Dropout is light: with the usual 0.25 and 0.5, two epochs end at 98.2% instead of 98.8%.
    """
    return Architecture(
        name="mnist",
        layers=(
            *_conv_block(16), MaxPool(), *_conv_block(32), MaxPool(), Dropout(rate=0.1),
            Flatten(), Dense(units=128), Relu(), Dropout(rate=0.3), Dense(units=classes),
        ),
    )  # fmt: skip


def cifar10(classes: int) -> Architecture:
    """The CIFAR-10 tutorial network: 158,506 parameters on 32x32x3 with ten classes."""
    return Architecture(
        name="cifar10",
        layers=(
            *_conv_block(32), *_conv_block(32), MaxPool(), Dropout(rate=0.25),
            *_conv_block(64), *_conv_block(64), MaxPool(), Dropout(rate=0.25),
            *_conv_block(128), GlobalAveragePool(),
            Dense(units=128), Relu(), Dropout(rate=0.5), Dense(units=classes),
        ),
    )  # fmt: skip


ARCHITECTURES: dict[str, Callable[[int], Architecture]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
}
