"""A network as a description: layers in order, their names, the shapes between them, and what they
weigh.

Shapes are without the batch dimension: (height, width, channels) for images, (units,) once flat.
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.networks.layers import (
    Activation,
    AnyLayer,
    BatchNorm,
    ChannelDropout,
    Conv,
    Convolution,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAveragePool,
    InvertedResidual,
    Pool,
    Residual,
)

Shape = tuple[int, ...]
Output = Literal["logits", "log_probabilities", "probabilities"]
_OUTPUTS: dict[str, Output] = {
    "softmax": "probabilities",
    "sigmoid": "probabilities",
    "log_softmax": "log_probabilities",
}

SMALLEST_PROBABILITY = 2.0**-126
"""What a probability of zero counts as where logarithms are taken: float32's smallest normal."""


@dataclasses.dataclass(frozen=True)
class Placed:
    """A layer in its network: its name, and the shapes it takes and gives. A block also has its
    inner layers and, where a residual block's shapes differ, the projection of its input."""

    name: str
    layer: AnyLayer
    before: Shape
    after: Shape
    inner: tuple["Placed", ...] = ()
    projection: "Placed | None" = None

    def all(self) -> Iterator["Placed"]:
        """The inner layers, the projection, then the layer itself."""
        for placed in (*self.inner, *filter(None, [self.projection])):
            yield from placed.all()
        yield self

    @property
    def adds_input(self) -> bool:
        """Whether it is a block that adds its input, or a projection of it."""
        match self.layer:
            case Residual():
                return True
            case InvertedResidual():
                return self.layer.adds_input(self.before[-1])
        return False

    @property
    def weights(self) -> int:
        """Number of its own trainable weights, without inner layers'."""
        match self.layer:
            case Conv():
                kernel = self.layer.kernel**2 * self.before[-1] * self.layer.filters
                return kernel + self.layer.filters * self.layer.bias
            case DepthwiseConv():
                return (self.layer.kernel**2 + self.layer.bias) * self.before[-1]
            case Dense():
                return (self.before[-1] + 1) * self.layer.units
            case BatchNorm():
                return 2 * self.before[-1]
        return 0

    @property
    def statistics(self) -> int:
        """Number of its own moving statistics."""
        return 2 * self.before[-1] if isinstance(self.layer, BatchNorm) else 0

    @property
    def operations(self) -> int:
        """Multiply-accumulates for one image, of its own convolution or dense layer; everything
        else is counted as none, as is usual."""
        match self.layer:
            case Conv():
                height, width, filters = self.after
                return height * width * filters * self.layer.kernel**2 * self.before[-1]
            case DepthwiseConv():
                height, width, channels = self.after
                return height * width * channels * self.layer.kernel**2
            case Dense():
                return self.before[-1] * self.layer.units
        return 0


class BackbonePart(BaseModel):
    """The leading layers of a network that begin with pretrained weights and give features; the
    others are its head."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(description="one of components/networks/backbones.py")
    layers: int = Field(gt=0, description="how many of the network's layers it is")
    weights: str = Field(description="SHA-256 of the file that holds the pretrained weights")


class Architecture(BaseModel):
    """A named list of layers that ends with a Dense layer, with one unit per class or, for two
    classes, one unit for the second; an activation may follow that makes probabilities of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    layers: tuple[AnyLayer, ...]
    # Left out where there is none, as in the descriptions of earlier releases.
    backbone: BackbonePart | None = Field(None, exclude_if=lambda part: part is None)

    @model_validator(mode="after")
    def _has_a_head(self) -> Self:
        if self.backbone and self.backbone.layers >= len(self.layers):
            raise ValueError(
                f"architecture {self.name!r} has a backbone of {self.backbone.layers} layers and "
                f"{len(self.layers)} in all, expected a head behind it."
            )
        return self

    @property
    def output(self) -> Output:
        """What the network gives: logits, unless its last activation makes something of them."""
        last = self.layers[-1] if self.layers else None
        return _OUTPUTS.get(last.function, "logits") if isinstance(last, Activation) else "logits"

    @property
    def units(self) -> int:
        """Numbers that the network gives: one per class, or 1 for two classes.

        Raises ValueError when it does not end as a classifier must.
        """
        layers = self.layers[:-1] if self.output != "logits" else self.layers
        if layers and isinstance(layers[-1], Dense):
            return layers[-1].units
        last = self.layers[-1] if self.layers else None
        raise ValueError(
            f"architecture {self.name!r} ends with {last!r}, expected a dense layer, after which "
            "only an activation of softmax, log_softmax or sigmoid may come."
        )

    def placed(self, shape: Shape) -> tuple[Placed, ...]:
        """Its layers, for an input of (H, W, C).

        Raises ValueError where a layer cannot take what the one before it gives.
        """
        return _place(self, self.layers, shape, "")

    def all_placed(self, shape: Shape) -> list[Placed]:
        """As `placed`, with the layers inside of blocks in front of each block."""
        return [layer for placed in self.placed(shape) for layer in placed.all()]


def parameter_count(architecture: Architecture, shape: Shape) -> int:
    """Number of weights for an input of (H, W, C), batch norm's moving statistics included."""
    return sum(p.weights + p.statistics for p in architecture.all_placed(shape))


def operations(architecture: Architecture, shape: Shape) -> int:
    """Multiply-accumulates of convolutions and dense layers for one image of (H, W, C)."""
    return sum(p.operations for p in architecture.all_placed(shape))


class Classifier(Protocol):
    """What any architecture says of its answers."""

    @property
    def name(self) -> str: ...

    @property
    def output(self) -> Output: ...

    @property
    def units(self) -> int: ...


def check_loss(architecture: Classifier, loss: str) -> None:
    """Raises ValueError when `loss`, one of TrainConfig's, does not fit what the network gives."""
    if architecture.units == 1:
        fitting, given = "binary_cross_entropy", "one unit for two classes"
    elif architecture.output == "log_probabilities":
        fitting, given = "nll", "log probabilities"
    else:
        fitting, given = "cross_entropy", f"{architecture.output}, one for each class"
    if loss != fitting:
        raise ValueError(
            f"{loss!r} does not fit architecture {architecture.name!r}, which gives {given}: "
            f"expected {fitting!r}."
        )


def _place(
    architecture: Architecture, layers: tuple[AnyLayer, ...], shape: Shape, prefix: str
) -> tuple[Placed, ...]:
    found = []
    for number, layer in enumerate(layers):
        name = f"{prefix}{number:02d}_{layer.label()}"
        inner: tuple[Placed, ...] = ()
        projection = None
        where = f"architecture {architecture.name!r}, layer {name}"
        if isinstance(layer, Residual):
            inner = _place(architecture, layer.layers, shape, f"{name}.")
            after = inner[-1].after
            projection = _projection(where, name, layer, shape, after)
        elif isinstance(layer, InvertedResidual):
            _check_spatial(where, layer, shape)
            inner = _place(architecture, layer.layers(shape[-1]), shape, f"{name}.")
            after = inner[-1].after
        else:
            after = _after(where, layer, shape)
        found.append(Placed(name, layer, shape, after, inner, projection))
        shape = after
    return tuple(found)


def _projection(
    where: str, name: str, layer: Residual, before: Shape, after: Shape
) -> Placed | None:
    """What makes the block's input fit what its layers give, or None where it does."""
    if before == after:
        return None
    made: Dense | Conv | None = None
    shape = before
    if len(before) == len(after) == 1:
        made, shape = Dense(units=after[0]), after
    elif len(before) == len(after):
        stride = layer.strides()
        made = Conv(filters=after[-1], kernel=1, stride=stride, padding="valid")
        shape = _after(where, made, before)
    if made is None or shape != after:
        raise ValueError(
            f"{where}: its layers make {after} of its input {before}, to which a projection with "
            f"their strides gives {shape}: use `same` padding and sizes that the strides divide."
        )
    return Placed(f"{name}.projection", made, before, after)


def _after(where: str, layer: AnyLayer, shape: Shape) -> Shape:
    if isinstance(layer, Dense) and len(shape) == 3:
        raise ValueError(
            f"{where}: its input has shape {shape}, expected a flat one: put flatten or "
            "global_average_pool before it."
        )
    _check_spatial(where, layer, shape)
    match layer:
        case DepthwiseConv():
            shape = (layer.size(shape[0]), layer.size(shape[1]), shape[2])
        case Conv():
            shape = (layer.size(shape[0]), layer.size(shape[1]), layer.filters)
        case Pool():
            shape = (layer.size(shape[0]), layer.size(shape[1]), shape[2])
        case GlobalAveragePool():
            shape = shape[-1:]
        case Flatten():
            shape = (shape[0] * shape[1] * shape[2],)
        case Dense():
            shape = (layer.units,)
    if min(shape) < 1:
        raise ValueError(
            f"{where}: nothing is left of the image (shape {shape}); use larger images or fewer "
            "pooling layers."
        )
    return shape


_SPATIAL = (Convolution, InvertedResidual, Pool, GlobalAveragePool, Flatten, ChannelDropout)


def _check_spatial(where: str, layer: AnyLayer, shape: Shape) -> None:
    if isinstance(layer, _SPATIAL) and len(shape) != 3:
        raise ValueError(
            f"{where}: its input has shape {shape}, expected (height, width, channels): put it "
            "before flattening or pooling."
        )
