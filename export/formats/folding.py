"""A described network for inference alone, with as few operations as its padding allows.

Batch norm without training is `x * scale + offset` for each channel, and so is the normalisation of
the pixels. Where nothing but convolutions, pools and ReLUs lie around it, it can be computed ahead,
as part of their weights:

- behind a convolution or dense layer it becomes part of it. Where a ReLU or pooling lies between,
  the size of the scale does, as `relu(a * x) = a * relu(x)` for `a >= 0`; sign and offset stay;
- what is left moves on through pools and flattening into the next convolution or dense layer;
- one thing stops it: an offset does not pass a convolution that pads with zeros, since those were
  to be added afterwards. It remains an addition in front of it.

No channel is divided by its scale, so that one with a scale near zero neither loses its digits nor
stretches the range that all channels share once they become integers.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from components.networks import keras_layers, keras_model
from components.networks.custom_network import CustomNetwork
from components.networks.description import Placed
from components.networks.layers import Activation, BatchNorm, Conv, Dense, DepthwiseConv
from components.networks.network import Network

_HOMOGENEOUS = ("relu", "leaky_relu")
_PASSED_BACKWARDS = (
    "max_pool", "average_pool", "global_average_pool", "dropout", "channel_dropout"
)  # fmt: skip
_MOST = 1e3
"""An offset is divided by no scale that is this many times smaller."""


@dataclasses.dataclass(frozen=True)
class _Affine:
    """`x * scale + offset`, float64 (channels,) each, that is still to be done."""

    scale: np.ndarray
    offset: np.ndarray

    @classmethod
    def none(cls, channels: int) -> "_Affine":
        return cls(np.ones(channels), np.zeros(channels))

    def then(self, other: "_Affine") -> "_Affine":
        return _Affine(self.scale * other.scale, self.offset * other.scale + other.offset)

    def shift(self) -> np.ndarray | None:
        """`d` of `(x + d) * scale`, or None where the scale is too small for it."""
        if (np.abs(self.offset) > _MOST * np.abs(self.scale)).any():
            return None
        safe = np.where(self.scale == 0, 1, self.scale)
        return self.offset / safe


def fold(network: Network, weights: Mapping[str, np.ndarray]) -> keras.Model:
    """A Keras model of `network` with `weights` (see twin.py) that gives the same numbers.

    `image` float32 (N, H, W, C), 0 to 255, to what `Architecture.output` says, (N, units).
    Flattening is a reshape to a fixed length. Raises ValueError for a user's own network.
    """
    architecture = network.architecture
    if isinstance(architecture, CustomNetwork):
        raise ValueError(f"{architecture.name} is not described by layers, which folding needs.")
    spec = network.spec
    with keras_layers.float32_policy():
        image = keras.Input(spec.shape, name="image", dtype="float32")
        normalise = _Affine(np.array(spec.scale), np.array(spec.offset))
        walk = _Walk({name: np.asarray(array, np.float64) for name, array in weights.items()})
        x = walk.through(architecture.placed(spec.shape), image, normalise)
        return keras.Model(image, x, name=architecture.name)


class _Walk:
    """Applies layers to Keras tensors, with an `_Affine` that is still to be done."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = weights

    def through(self, layers: Sequence[Placed], x: Any, todo: _Affine) -> Any:
        """What `layers` make of `x * scale + offset`."""
        norms = self._backwards(layers)
        for placed in layers:
            match placed.layer.kind:
                case "batch_norm":
                    todo = todo.then(norms[placed.name])
                case "conv" | "depthwise_conv":
                    x, todo = self._conv(placed, x, todo)
                case "dense":
                    x, todo = self._dense(placed, x, todo)
                case "global_average_pool" | "average_pool":
                    x = keras_model.layer(placed.name, placed.layer)(x)
                case "max_pool":
                    if (todo.scale < 0).any():
                        x, todo = _done(x, todo)
                    x = keras_model.layer(placed.name, placed.layer)(x)
                case "flatten":
                    x, todo = _flatten(placed, x, todo)
                case "dropout" | "channel_dropout":
                    pass
                case "inverted_residual" if not placed.adds_input:
                    x, todo = self.through(placed.inner, x, todo), _Affine.none(placed.after[-1])
                case "residual" | "inverted_residual":
                    x, todo = self._residual(placed, x, todo)
                case _:
                    x, todo = _done(x, todo)
                    x = keras_model.layer(placed.name, placed.layer)(x)
        return _done(x, todo)[0]

    def _backwards(self, layers: Sequence[Placed]) -> dict[str, _Affine]:
        """Folds batch norms into the layers before them; what is left of each, by its name."""
        left = {}
        for number, placed in enumerate(layers):
            if not isinstance(placed.layer, BatchNorm):
                continue
            norm = self._norm(placed.name, placed.layer)
            source, between = _source(layers[:number])
            if source is not None and not between:
                self._scale(source, norm.scale, norm.offset)
                norm = _Affine.none(len(norm.scale))
            elif source is not None:
                self._scale(source, np.abs(norm.scale), np.zeros_like(norm.scale))
                norm = _Affine(np.where(norm.scale < 0, -1.0, 1.0), norm.offset)
            left[placed.name] = norm
        return left

    def _norm(self, name: str, layer: BatchNorm) -> _Affine:
        gamma, beta, mean, variance = (
            self.weights[f"{name}/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + layer.epsilon)
        return _Affine(scale, beta - mean * scale)

    def _scale(self, name: str, scale: np.ndarray, offset: np.ndarray) -> None:
        bias, kernel = self._bias(name, len(scale)), self.weights[f"{name}/kernel"]
        # What comes out is the last axis, but of a depthwise kernel, (H, W, channels, 1).
        over = scale if kernel.shape[-1] == len(scale) else scale[:, None]
        self.weights[f"{name}/kernel"] = kernel * over
        self.weights[f"{name}/bias"] = bias * scale + offset

    def _bias(self, name: str, filters: int) -> np.ndarray:
        return self.weights.get(f"{name}/bias", np.zeros(filters))

    def _conv(self, placed: Placed, x: Any, todo: _Affine) -> tuple[Any, _Affine]:
        layer, filters = placed.layer, placed.after[-1]
        assert isinstance(layer, (Conv, DepthwiseConv))
        kernel, bias = self.weights[f"{placed.name}/kernel"], self._bias(placed.name, filters)
        if layer.padding != "valid" and todo.offset.any():
            shift = todo.shift()
            if shift is None:
                x, todo = _done(x, todo)
            else:
                x, todo = x + shift.astype(np.float32), _Affine(todo.scale, 0 * todo.offset)
        if layer.padding == "full":
            x = keras.layers.ZeroPadding2D(layer.kernel - 1)(x)
            layer = layer.model_copy(update={"padding": "valid"})
        sums = "hwio,i->o" if isinstance(layer, Conv) else "hwio,i->i"
        bias = bias + np.einsum(sums, kernel, todo.offset)
        made = keras_model.layer(placed.name, layer.model_copy(update={"bias": True}))
        x = made(x)
        made.set_weights([kernel * todo.scale[:, None], bias])
        return x, _Affine.none(filters)

    def _dense(self, placed: Placed, x: Any, todo: _Affine) -> tuple[Any, _Affine]:
        assert isinstance(placed.layer, Dense)
        kernel = self.weights[f"{placed.name}/kernel"]
        bias = self._bias(placed.name, placed.layer.units) + todo.offset @ kernel
        made = keras_model.layer(placed.name, placed.layer)
        x = made(x)
        made.set_weights([kernel * todo.scale[:, None], bias])
        return x, _Affine.none(placed.layer.units)

    def _residual(self, placed: Placed, x: Any, todo: _Affine) -> tuple[Any, _Affine]:
        x, _ = _done(x, todo)
        channels = placed.before[-1]
        shortcut = x
        if placed.projection:
            shortcut = self.through([placed.projection], x, _Affine.none(channels))
        x = self.through(placed.inner, x, _Affine.none(channels))
        return keras_model.layer(placed.name, placed.layer)([x, shortcut]), _Affine.none(
            placed.after[-1]
        )


def _source(before: Sequence[Placed]) -> tuple[str | None, bool]:
    """The convolution or dense layer whose output a positive factor could be drawn out of, and
    whether anything lies between that an offset could not be drawn through."""
    between = False
    for placed in reversed(before):
        kind = placed.layer.kind
        if kind in ("conv", "depthwise_conv", "dense"):
            return placed.name, between
        layer = placed.layer
        homogeneous = isinstance(layer, Activation) and layer.function in _HOMOGENEOUS
        if not homogeneous and kind not in _PASSED_BACKWARDS:
            return None, True
        between = between or homogeneous or kind == "max_pool"
    return None, True


def _done(x: Any, todo: _Affine) -> tuple[Any, _Affine]:
    """`x * scale + offset` as operations, and nothing that is still to be done."""
    if (todo.scale != 1).any():
        x = x * todo.scale.astype(np.float32)
    if todo.offset.any():
        x = x + todo.offset.astype(np.float32)
    return x, _Affine.none(len(todo.scale))


def _flatten(placed: Placed, x: Any, todo: _Affine) -> tuple[Any, _Affine]:
    # Not Keras's layer, which asks for the batch's size while running: in TFLite four operations
    # that no delegate takes, between two parts of the network that one does.
    pixels = int(np.prod(placed.before[:-1]))
    x = keras.ops.reshape(x, (-1, pixels * placed.before[-1]))
    return x, _Affine(np.tile(todo.scale, pixels), np.tile(todo.offset, pixels))
