"""Small networks that between them hold every kind of layer, in odd sizes and combinations."""

import numpy as np
from scipy import special

from components.networks.architectures import ARCHITECTURES
from components.networks.backbones import BACKBONES
from components.networks.description import Architecture
from components.networks.layers import (
    Activation,
    AveragePool,
    BatchNorm,
    ChannelDropout,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    InvertedResidual,
    Layer,
    MaxPool,
    Residual,
)
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec

RELU = Activation()


def _classifier(*layers: Layer, units: int = 3) -> tuple[Layer, ...]:
    return (*layers, Flatten(), Dense(units=units))


def _activations(*functions: str) -> list[Layer]:
    return [layer for f in functions for layer in (BatchNorm(), Activation(function=f))]


_INNER = (Conv(filters=4), BatchNorm(), RELU, Conv(filters=4))

LAYERS: dict[str, tuple[Layer, ...]] = {
    "stride 2 same": _classifier(Conv(filters=4, stride=2), RELU, Conv(filters=2, stride=2)),
    "stride 3 same": _classifier(Conv(filters=4, kernel=5, stride=3), RELU),
    "even kernel same": _classifier(Conv(filters=4, kernel=4), RELU, Conv(filters=2, kernel=2)),
    "kernel below stride": _classifier(Conv(filters=4, kernel=1, stride=2)),
    "valid": _classifier(Conv(filters=4, kernel=3, stride=2, padding="valid"), RELU),
    "full": _classifier(Conv(filters=4, kernel=4, padding="full"), RELU),
    "full strided": _classifier(Conv(filters=4, stride=2, padding="full"), RELU),
    "no bias": _classifier(Conv(filters=4, bias=False), BatchNorm(), RELU),
    "depthwise": _classifier(
        DepthwiseConv(), RELU, DepthwiseConv(kernel=5, stride=2), Activation(function="relu6"),
        DepthwiseConv(kernel=2, padding="valid"), BatchNorm(),
    ),
    "depthwise without bias": _classifier(
        BatchNorm(), DepthwiseConv(kernel=4, stride=3, padding="valid", bias=False), RELU,
        BatchNorm(), DepthwiseConv(kernel=1, bias=False), BatchNorm(),
    ),
    "overlapping max": _classifier(Conv(filters=4), RELU, MaxPool(kernel=3, stride=2)),
    "sparse max": _classifier(Conv(filters=4), RELU, MaxPool(kernel=2, stride=3)),
    "average": _classifier(Conv(filters=4), RELU, AveragePool(kernel=2)),
    "overlapping average": _classifier(Conv(filters=4), RELU, AveragePool(kernel=3, stride=1)),
    "dropouts": _classifier(ChannelDropout(rate=0.5), Conv(filters=2), Dropout(rate=0.5)),
    "relus": (
        *_classifier(RELU, Conv(filters=2), RELU, RELU, Activation(function="elu"), RELU, units=5),
        RELU, Dropout(rate=0.1), RELU, Dense(units=3),
    ),
    "activations": _classifier(
        Conv(filters=8),
        *_activations("relu6", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"),
    ),
    "softmax over channels": _classifier(Conv(filters=4), *_activations("softmax", "log_softmax")),
    "flat batch norm": (Flatten(), Dense(units=6), BatchNorm(), RELU, Dense(units=3)),
    "residual identity": _classifier(Conv(filters=4), RELU, Residual(layers=_INNER), RELU),
    "residual projection": _classifier(Residual(layers=_INNER), RELU),
    "residual with stride": _classifier(
        Residual(layers=(RELU, Conv(filters=4, stride=2), RELU, Conv(filters=6, stride=2)))
    ),
    "residual in residual": _classifier(
        Conv(filters=2),
        Residual(layers=(RELU, Residual(layers=_INNER), RELU, Conv(filters=4, stride=2))),
        GlobalAveragePool(),
    )[:-2] + (Dense(units=3),),
    "inverted residual": _classifier(
        InvertedResidual(filters=3), InvertedResidual(filters=3, expansion=2, kernel=5),
        InvertedResidual(filters=3, expansion=1), Activation(function="relu6"),
    ),
    "inverted residual of other shapes": _classifier(
        BatchNorm(), InvertedResidual(filters=4, expansion=1, stride=2),
        InvertedResidual(filters=5, expansion=3, kernel=5),
        InvertedResidual(filters=5, expansion=3, stride=2),
        Residual(layers=(InvertedResidual(filters=2, stride=2), BatchNorm())),
    ),
    "flat residual": (
        GlobalAveragePool(),
        Residual(layers=(Dense(units=5), RELU)),
        Residual(layers=(RELU, Dense(units=5))),
        Dense(units=3),
    ),
    # One for each kind of output; between them they hold what exporters might stumble over.
    "one logit": (
        Conv(filters=4, kernel=4, stride=2), Activation(function="gelu"),
        Residual(layers=(*_INNER[:3], Conv(filters=6, stride=2))), RELU,
        AveragePool(kernel=2, stride=1), GlobalAveragePool(), Dense(units=1),
    ),
    "sigmoid": (
        *_classifier(
            Conv(filters=4, stride=2, padding="full"), Activation(function="silu"),
            ChannelDropout(rate=0.2), MaxPool(kernel=3, stride=2), units=6,
        ),
        BatchNorm(), Dropout(rate=0.2), Dense(units=1), Activation(function="sigmoid"),
    ),
    "softmax": _classifier(
        Conv(filters=4, bias=False), BatchNorm(), Activation(function="tanh"),
        Residual(layers=_INNER), Activation(function="leaky_relu", negative_slope=0.2),
    ) + (Activation(function="softmax"),),
    "log_softmax": _classifier(
        Conv(filters=4, stride=2), Activation(function="elu"), Conv(filters=3, padding="valid"),
    ) + (Activation(function="log_softmax"),),
}  # fmt: skip

_SPEC = ImageSpec(9, 11, 3, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
_SIDES = {"digits": (8, 1), "mnist": (28, 1), "mnist_tiny": (28, 1), "smiles": (64, 3)}

# Without the pretrained networks, which are large; their layers are among the others'.
NAMES = (*(name for name in ARCHITECTURES if name not in BACKBONES), *LAYERS)
OUTPUTS = ("digits", "smiles_v1", "softmax", "log_softmax", "sigmoid")
"""One network for each kind of output."""


def network(framework: str, name: str) -> Network:
    """One of ARCHITECTURES at its preset's size, or of LAYERS on 9x11 RGB images."""
    if name in LAYERS:
        architecture, spec = Architecture(name="zoo", layers=LAYERS[name]), _SPEC
    else:
        side, channels = _SIDES.get(name.split("_v")[0], (32, 3))
        classes = 2 if name.startswith("smiles") else 10
        architecture = ARCHITECTURES[name](classes)
        spec = ImageSpec(side, side, channels, (0.4,) * channels, (0.3,) * channels)
    classes = 2 if architecture.units == 1 else architecture.units
    return Network(framework, architecture, spec, tuple("0123456789"[:classes]))


def outputs_and_probabilities(architecture: Architecture) -> tuple[np.ndarray, np.ndarray]:
    """What such a network may give, float32 (5, units), and what that means, (5, classes)."""
    logits = np.random.default_rng(0).normal(size=(5, architecture.units)).astype(np.float32)
    if architecture.units == 1:
        probabilities = np.concatenate([1 - special.expit(logits), special.expit(logits)], axis=1)
        given = {"logits": logits, "probabilities": special.expit(logits)}
        return given[architecture.output], probabilities
    probabilities = special.softmax(logits, axis=1)
    given = {
        "logits": logits,
        "log_probabilities": np.log(probabilities),
        "probabilities": probabilities,
    }
    return given[architecture.output], probabilities
