"""The architecture description as a Keras network. Twin of `torch_model.py`."""

from pathlib import Path

import keras

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
)
from components.network import Network, weights_file

WEIGHTS = "model.weights.h5"


def layer(name: str, description: AnyLayer) -> keras.layers.Layer:
    """The Keras layer called `name`; convolutions and dense layers start from Glorot uniform."""
    match description:
        case Conv():
            return keras.layers.Conv2D(
                description.filters, description.kernel, padding=description.padding, name=name
            )
        case BatchNorm():
            return keras.layers.BatchNormalization(
                momentum=description.momentum, epsilon=description.epsilon, name=name
            )
        case Relu():
            return keras.layers.ReLU(name=name)
        case MaxPool():
            return keras.layers.MaxPooling2D(description.size, name=name)
        case GlobalAveragePool():
            return keras.layers.GlobalAveragePooling2D(name=name)
        case Flatten():
            return keras.layers.Flatten(name=name)
        case Dense():
            return keras.layers.Dense(description.units, name=name)
        case Dropout():
            return keras.layers.Dropout(description.rate, name=name)
    raise TypeError(f"layer {name}: Keras has no translation of {description!r} yet.")


def build(network: Network) -> keras.Model:
    """A network with fresh weights: `image` float32 (N, H, W, C), 0 to 255, to logits (N, classes).

    Layers carry the names of `Architecture.named_layers()`; the normalisation comes first.
    """
    spec = network.spec
    image = keras.Input(spec.shape, name="image", dtype="float32")
    x = keras.layers.Rescaling(list(spec.scale), list(spec.offset), name="normalise")(image)
    for name, description in network.architecture.named_layers():
        x = layer(name, description)(x)
    return keras.Model(image, x, name=network.architecture.name)


def parameter_count(model: keras.Model) -> int:
    """Number of weights, batch norm's moving statistics included."""
    return model.count_params()


def not_finite(model: keras.Model) -> list[str]:
    """Names of the weights that hold a NaN or an infinity."""
    finite = keras.ops.isfinite
    return [w.path for w in model.weights if not bool(keras.ops.all(finite(w)))]


def save(model: keras.Model, network: Network, directory: str | Path) -> None:
    """Writes a model directory: the weights, then `network.json`."""
    save_weights(model, Path(directory) / WEIGHTS)
    network.with_framework("keras").save(directory)


def save_weights(model: keras.Model, path: Path) -> None:
    """Replaces the weights file (`*.weights.h5`) in one rename."""
    with atomic.replacing(path) as temporary:
        model.save_weights(temporary)


def load(directory: str | Path) -> keras.Model:
    """The trained network of a model directory. Raises ValueError when a file is missing."""
    model = build(Network.load(directory))
    model.load_weights(weights_file(directory, WEIGHTS))
    return model
