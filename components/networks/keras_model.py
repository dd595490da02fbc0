"""The architecture description as a Keras network. Twin of `torch_model.py`."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from components.base import atomic
from components.networks import pretrained
from components.networks.custom_network import AnyArchitecture, CustomNetwork
from components.networks.description import SMALLEST_PROBABILITY, Placed, Shape
from components.networks.keras_layers import BatchNorm, ChannelDropout, Dropout, GlobalAverage
from components.networks.layers import FINAL, Activation, AnyLayer
from components.networks.network import Network, weights_file
from components.networks.weight_layout import weights_of

WEIGHTS = "model.weights.h5"


def layer(name: str, description: AnyLayer) -> keras.layers.Layer:
    """The Keras layer called `name`; convolutions and dense layers start from Glorot uniform."""
    match description.kind:
        case "conv":
            # Full padding, which Keras does not know, is a layer of its own in front.
            return keras.layers.Conv2D(
                description.filters,
                description.kernel,
                strides=description.stride,
                padding="same" if description.padding == "same" else "valid",
                use_bias=description.bias,
                name=name,
            )
        case "depthwise_conv":
            return keras.layers.DepthwiseConv2D(
                description.kernel,
                strides=description.stride,
                padding=description.padding,
                use_bias=description.bias,
                name=name,
            )
        case "batch_norm":
            return BatchNorm(momentum=description.momentum, epsilon=description.epsilon, name=name)
        case "activation":
            return _activation(name, description)
        case "max_pool":
            return keras.layers.MaxPooling2D(description.kernel, description.step, name=name)
        case "average_pool":
            return keras.layers.AveragePooling2D(description.kernel, description.step, name=name)
        case "global_average_pool":
            return GlobalAverage(name=name)
        case "flatten":
            return keras.layers.Flatten(name=name)
        case "dense":
            return keras.layers.Dense(description.units, name=name)
        case "dropout":
            return Dropout(description.rate, name=name)
        case "channel_dropout":
            return ChannelDropout(description.rate, name=name)
        case "residual" | "inverted_residual":
            return keras.layers.Add(name=name)
    raise TypeError(f"layer {name}: Keras has no translation of {description!r} yet.")


def _activation(name: str, description: Activation) -> keras.layers.Layer:
    match description.function:
        case "relu":
            return keras.layers.ReLU(name=name)
        case "relu6":
            return keras.layers.ReLU(max_value=6, name=name)
        case "leaky_relu":
            return keras.layers.LeakyReLU(description.negative_slope, name=name)
        case "gelu":
            return keras.layers.Activation(gelu, name=name)
    # Probabilities are float32 in mixed precision too.
    dtype = "float32" if description.function in FINAL else None
    return keras.layers.Activation(description.function, dtype=dtype, name=name)


def gelu(x: keras.KerasTensor) -> keras.KerasTensor:
    """The exact one; Keras's own is made of an operation (Erfc) that tf2onnx does not know."""
    return 0.5 * x * (1 + keras.ops.erf(x * 0.5**0.5))


def build(network: Network) -> keras.Model:
    """A network with fresh weights: `image` float32 (N, H, W, C), 0 to 255, to what
    `Architecture.output` says, (N, units).

    Layers carry the names of the description, those inside of blocks too; the
    normalisation comes first. Raises ValueError when a custom network's builder gives no such one.
    """
    if isinstance(network.architecture, CustomNetwork):
        return _custom(network.architecture, network)
    spec = network.spec
    image = keras.Input(spec.shape, name="image", dtype="float32")
    x = keras.layers.Rescaling(list(spec.scale), list(spec.offset), name="normalise")(image)
    for placed in network.architecture.placed(spec.shape):
        x = _apply(placed, x)
    return keras.Model(image, x, name=network.architecture.name)


def _custom(architecture: CustomNetwork, network: Network) -> keras.Model:
    shape, classes = network.spec.shape, len(network.labels)
    model = architecture.build("keras", shape)
    expected = (None, *shape), (None, classes)
    received = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not isinstance(model, keras.Model) or received != expected:
        raise ValueError(
            f"{architecture.name}'s Keras builder gives {type(model).__name__} from "
            f"{received[0]} to {received[1]}, expected a keras.Model from {expected[0]} to "
            f"{expected[1]}: build it on keras.Input(shape), without softmax."
        )
    if not model.trainable_variables:
        raise ValueError(
            f"{architecture.name}'s Keras network has no weight to train, expected one."
        )
    return model


def at_size(model: keras.Model, shape: Shape) -> keras.Model:
    """The same layers, with the same weights, for images of another (H, W, C)."""
    image = keras.Input(shape, name="image", dtype="float32")
    return keras.models.clone_model(model, image, clone_function=lambda layer: layer)


def load_backbone(model: keras.Model, network: Network) -> None:
    """Puts the pretrained weights into the backbone of a `network` that `build` made.

    Raises ValueError where it has none, and ConfigError where the weights cannot be had, see
    `pretrained.weights_path`.
    """
    held = pretrained.backbone_weights(network)
    for of in weights_of(network.backbone_layers):
        array = held[f"{of.layer}.{of.torch}"].transpose(of.axes)
        getattr(model.get_layer(of.layer), of.keras).assign(array)


def backbone_of(model: keras.Model, network: Network) -> keras.Model:
    """The model from `image` float32 (N, H, W, C), 0 to 255, to features (N, units), of the same
    layers as `model`. Raises ValueError where it has no backbone."""
    image = keras.Input(model.input_shape[1:], name="image", dtype="float32")
    x = model.get_layer("normalise")(image)
    for placed in network.backbone_layers:
        x = _apply(placed, x, model)
    return keras.Model(image, x, name=network.backbone.name)


def head_of(model: keras.Model, network: Network) -> keras.Model:
    """The model from features (N, units) to what `model` gives, of the same layers as it. Raises
    ValueError where it has no backbone."""
    x = features = keras.Input(network.head_layers[0].before, name="features", dtype="float32")
    for placed in network.head_layers:
        x = _apply(placed, x, model)
    return keras.Model(features, x, name="head")


def freeze(model: keras.Model, network: Network, trained: int) -> None:
    """Leaves only the head and the last `trained` layers of the backbone to training, without batch
    norms, which then keep their statistics too."""
    for name in network.frozen_layers(trained):
        model.get_layer(name).trainable = False


def _apply(placed: Placed, x: keras.KerasTensor, model: keras.Model | None = None) -> Any:
    """What the layer makes of `x`: a new one, or that of `model`."""

    def made(name: str, make: Callable[[], keras.layers.Layer]) -> keras.layers.Layer:
        return make() if model is None else model.get_layer(name)

    name, description = placed.name, placed.layer
    own = functools.partial(made, name, functools.partial(layer, name, description))
    if placed.inner:
        shortcut = _apply(placed.projection, x, model) if placed.projection else x
        for inner in placed.inner:
            x = _apply(inner, x, model)
        if placed.adds_input:
            return own()([x, shortcut])
        return made(name, lambda: keras.layers.Identity(name=name))(x)
    if description.kind == "conv" and description.padding == "full":
        padding = f"{name}.padding"
        zeros = description.kernel - 1
        x = made(padding, lambda: keras.layers.ZeroPadding2D(zeros, name=padding))(x)
    return own()(x)


def probabilities(
    outputs: keras.KerasTensor, architecture: AnyArchitecture, temperature: float = 1.0
) -> keras.KerasTensor:
    """What a network of that architecture gives, (N, units), as probabilities float32
    (N, classes); one unit is that of the second of two classes.

    `temperature` divides the logits, see components/evaluation/temperature.py; 1 adds nothing to
    the graph.
    """
    outputs, kind = keras.ops.cast(outputs, "float32"), architecture.output
    if temperature != 1:
        outputs, kind = _logits(outputs, architecture) / temperature, "logits"
    if architecture.units == 1:
        second = keras.ops.sigmoid(outputs) if kind == "logits" else outputs
        return keras.ops.concatenate([1 - second, second], axis=-1)
    # No match statement: AutoGraph, through which this goes, does not know it.
    if kind == "logits":
        return keras.ops.softmax(outputs)
    return keras.ops.exp(outputs) if kind == "log_probabilities" else outputs


def _logits(outputs: keras.KerasTensor, architecture: AnyArchitecture) -> keras.KerasTensor:
    """Logits, up to a constant for each image, of float32 outputs."""
    if architecture.output != "probabilities":
        return outputs
    logs = keras.ops.log(keras.ops.maximum(outputs, SMALLEST_PROBABILITY))
    if architecture.units == 1:
        return logs - keras.ops.log(keras.ops.maximum(1 - outputs, SMALLEST_PROBABILITY))
    return logs


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
