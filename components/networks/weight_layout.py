"""What each framework calls the weights of a layer, and how it lays them out.

    convolution   kernel (H, W, in, out)       PyTorch keeps (out, in, H, W)
    depthwise     kernel (H, W, channels, 1)   PyTorch keeps (channels, 1, H, W)
    dense         kernel (in, out)             PyTorch keeps (out, in)
    batch norm    gamma, beta, moving_mean, moving_variance; PyTorch says weight, bias,
                  running_mean, running_var

Layers inside of blocks are named alike too (`03_residual.00_conv`). Flattening is channels-last in
both (see `torch_layers.ChannelsLastFlatten`), so that a transpose is all a dense kernel needs.
PyTorch's `num_batches_tracked` is a step counter, no weight, and stays.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from components.networks.description import Placed
from components.networks.layers import BatchNorm, Conv, Dense, DepthwiseConv, Layer

_Table = dict[str, tuple[str, tuple[int, ...]]]

# Keras's weight: (PyTorch's weight, axes of the PyTorch array in Keras's order).
_BIAS: _Table = {"bias": ("bias", (0,))}
_TABLES: dict[type[Layer], _Table] = {
    Conv: {"kernel": ("weight", (2, 3, 1, 0)), **_BIAS},
    DepthwiseConv: {"kernel": ("weight", (2, 3, 0, 1)), **_BIAS},
    Dense: {"kernel": ("weight", (1, 0)), **_BIAS},
    BatchNorm: {
        "gamma": ("weight", (0,)),
        "beta": ("bias", (0,)),
        "moving_mean": ("running_mean", (0,)),
        "moving_variance": ("running_var", (0,)),
    },
}


class Weight(NamedTuple):
    """One array of a layer: Keras's and PyTorch's names of it, and the axes of the PyTorch array in
    Keras's order."""

    layer: str
    keras: str
    torch: str
    axes: tuple[int, ...]


def weights_of(layers: Iterable[Placed]) -> Iterator[Weight]:
    """Every weight of the layers, those inside of them included, in order."""
    for placed in (inside for outer in layers for inside in outer.all()):
        for keras_name, (torch_name, axes) in _TABLES.get(type(placed.layer), {}).items():
            if keras_name != "bias" or getattr(placed.layer, "bias", True):
                yield Weight(placed.name, keras_name, torch_name, axes)
