"""The networks, each a function from the number of classes to a description that both frameworks
build.

A network's input is a float image on a 0-to-255 scale: normalisation belongs to the ImageSpec. Most
give logits, of which the losses and the exports make probabilities. Parameter counts include batch
norm's moving statistics where nothing else is said.
"""

from collections.abc import Callable

from components.networks.backbones import BACKBONES, layers_of
from components.networks.custom_network import AnyArchitecture, custom_architecture
from components.networks.custom_network import Builders as Builders
from components.networks.description import Architecture, BackbonePart
from components.networks.layers import (
    Activation,
    BatchNorm,
    ChannelDropout,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Residual,
)

_RELU = Activation(function="relu")


def _conv_block(filters: int) -> list[Layer]:
    return [Conv(filters=filters), _RELU, BatchNorm()]


def _conv_relu(filters: int, kernel: int = 3) -> list[Layer]:
    return [Conv(filters=filters, kernel=kernel), _RELU]


def _conv_norm_relu(filters: int) -> list[Layer]:
    return [Conv(filters=filters), BatchNorm(), _RELU]


def digits(classes: int) -> Architecture:
    """For images of about 8x8: two convolutions, one pooling, a dense head."""
    return Architecture(
        name="digits",
        layers=(
            *_conv_block(32), *_conv_block(64), MaxPool(), Dropout(rate=0.25),
            Flatten(), Dense(units=64), _RELU, Dropout(rate=0.5), Dense(units=classes),
        ),
    )  # fmt: skip


def mnist(classes: int) -> Architecture:
    """The MNIST tutorial network: 3,274,634 parameters on 28x28x1 with ten classes."""
    return Architecture(
        name="mnist",
        layers=(
            *_conv_relu(32, kernel=5), MaxPool(), *_conv_relu(64, kernel=5), MaxPool(),
            Flatten(), Dense(units=1024), _RELU, Dropout(rate=0.5), Dense(units=classes),
        ),
    )  # fmt: skip


def mnist_tiny(classes: int) -> Architecture:
    """For MNIST in as few weights as will do: 1,198 parameters on 28x28x1 with ten classes."""
    layers = 2 * (Conv(filters=4, padding="valid"), _RELU, MaxPool())
    return Architecture(name="mnist_tiny", layers=(*layers, Flatten(), Dense(units=classes)))


def cifar10(classes: int) -> Architecture:
    """The CIFAR-10 tutorial network: 158,506 parameters on 32x32x3 with ten classes."""
    return Architecture(
        name="cifar10",
        layers=(
            *_conv_block(32), *_conv_block(32), MaxPool(), Dropout(rate=0.25),
            *_conv_block(64), *_conv_block(64), MaxPool(), Dropout(rate=0.25),
            *_conv_block(128), GlobalAveragePool(),
            Dense(units=128), _RELU, Dropout(rate=0.5), Dense(units=classes),
        ),
    )  # fmt: skip


def cifar10_small(classes: int) -> Architecture:
    """The smaller CIFAR-10 tutorial network: on 32x32x3 with ten classes 75,562 trainable
    parameters, 75,946 with moving statistics."""
    return Architecture(
        name="cifar10_small",
        layers=(
            *_conv_norm_relu(32), *_conv_norm_relu(32), MaxPool(), ChannelDropout(rate=0.25),
            *_conv_norm_relu(64), *_conv_norm_relu(64), MaxPool(), ChannelDropout(rate=0.25),
            GlobalAveragePool(),
            Dense(units=128), _RELU, Dropout(rate=0.5), Dense(units=classes),
        ),
    )  # fmt: skip


def cifar10_fast(classes: int) -> Architecture:
    """A residual network for GPUs, after ResNet-9 of myrtle.ai's "How to train your ResNet":
    6,577,610 parameters on 32x32x3 with ten classes. For images of 32x32 and a little more."""

    def block(filters: int) -> list[Layer]:
        return [Conv(filters=filters, bias=False), BatchNorm(), _RELU]

    def residual(filters: int) -> Residual:
        return Residual(layers=(*block(filters), *block(filters)))

    return Architecture(
        name="cifar10_fast",
        layers=(
            *block(64),
            *block(128), MaxPool(), residual(128),
            *block(256), MaxPool(),
            *block(512), MaxPool(), residual(512),
            MaxPool(kernel=4), Flatten(), Dense(units=classes),
        ),
    )  # fmt: skip


def smiles_v1(classes: int) -> Architecture:
    """For two classes of faces, with one logit: 388,673 parameters on 64x64x3."""
    del classes  # Network refuses any number but two
    return Architecture(
        name="smiles_v1",
        layers=(
            *_conv_relu(32), MaxPool(), *_conv_relu(64), MaxPool(), *_conv_relu(128), MaxPool(),
            *_conv_relu(256), GlobalAveragePool(), Dense(units=1),
        ),
    )  # fmt: skip


def smiles_v2(classes: int) -> Architecture:
    """`smiles_v1` with batch norm and dropout: 390,593 parameters on 64x64x3."""
    del classes
    stages = [
        layer
        for filters in (32, 64, 128)
        for layer in (*_conv_norm_relu(filters), MaxPool(), Dropout(rate=0.1))
    ]
    return Architecture(
        name="smiles_v2",
        layers=(
            *stages, *_conv_norm_relu(256), GlobalAveragePool(), Dropout(rate=0.5), Dense(units=1),
        ),
    )  # fmt: skip


def smiles_v3(classes: int) -> Architecture:
    """`smiles_v1` with two convolutions for each and a dense head: 1,696,801 parameters on
    64x64x3."""
    del classes
    stages = [
        layer
        for filters in (32, 64, 128, 256)
        for layer in (*_conv_relu(filters), *_conv_relu(filters), MaxPool())
    ]
    return Architecture(
        name="smiles_v3",
        layers=(*stages, Flatten(), Dense(units=128), _RELU, Dense(units=1)),
    )


def smiles_v4(classes: int) -> Architecture:
    """`smiles_v1` with a residual block, its stride in place of the pooling, for each convolution
    after the first: 1,206,721 parameters on 64x64x3."""
    del classes

    def residual(filters: int) -> list[Layer]:
        inner = (Conv(filters=filters, stride=2), _RELU, Conv(filters=filters))
        return [Residual(layers=inner), _RELU]

    return Architecture(
        name="smiles_v4",
        layers=(
            *_conv_relu(32), MaxPool(), *residual(64), *residual(128), *residual(256),
            GlobalAveragePool(), Dense(units=1),
        ),
    )  # fmt: skip


def efficientnet_lite0(classes: int) -> Architecture:
    """For photographs, with weights trained on ImageNet: on 224x224x3 with 1,000 classes 4,652,008
    trainable parameters; 3,425,834 parameters for ten classes."""
    return _pretrained("efficientnet_lite0", classes)


def efficientnet_lite1(classes: int) -> Architecture:
    """`efficientnet_lite0` in more layers, for 240x240x3: 4,202,154 parameters for ten classes."""
    return _pretrained("efficientnet_lite1", classes)


def efficientnet_lite2(classes: int) -> Architecture:
    """`efficientnet_lite0` deeper and wider, for 260x260x3: 4,881,978 parameters for ten
    classes."""
    return _pretrained("efficientnet_lite2", classes)


def _pretrained(name: str, classes: int) -> Architecture:
    backbone, layers = BACKBONES[name], layers_of(name)
    return Architecture(
        name=name,
        layers=(*layers, Dropout(rate=backbone.dropout), Dense(units=classes)),
        backbone=BackbonePart(name=name, layers=len(layers), weights=backbone.weights),
    )


ARCHITECTURES: dict[str, Callable[[int], Architecture]] = {
    "digits": digits,
    "mnist": mnist,
    "mnist_tiny": mnist_tiny,
    "cifar10": cifar10,
    "cifar10_small": cifar10_small,
    "cifar10_fast": cifar10_fast,
    "smiles_v1": smiles_v1,
    "smiles_v2": smiles_v2,
    "smiles_v3": smiles_v3,
    "smiles_v4": smiles_v4,
    "efficientnet_lite0": efficientnet_lite0,
    "efficientnet_lite1": efficientnet_lite1,
    "efficientnet_lite2": efficientnet_lite2,
}


def architecture_of(name: str, classes: int) -> AnyArchitecture:
    """The network called `name`, one of ARCHITECTURES or `module:function` of the user's, for
    that many classes. Raises ValueError when there is none."""
    if ":" in name:
        return custom_architecture(name, classes)
    if name not in ARCHITECTURES:
        raise ValueError(
            f"architecture is {name!r}, expected one of {', '.join(sorted(ARCHITECTURES))}, or "
            "module:function of your own."
        )
    return ARCHITECTURES[name](classes)
