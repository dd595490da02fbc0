"""One framework's weights in a network of the other with the same architecture, which gives the
same numbers.

PyTorch itself writes neither SavedModel nor TFLite; they are made of its weights in a Keras twin of
the same architecture. Weights travel as a mapping from `<layer>/<weight>` to a float32 array, by
Keras's name and in Keras's layout, see `components/networks/weight_layout.py`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.networks.custom_network import CustomNetwork
from components.networks.network import Network, weights_file
from components.networks.weight_layout import Weight, weights_of

Weights = dict[str, np.ndarray]


def _entries(network: Network) -> Iterator[Weight]:
    described = network.architecture
    assert not isinstance(described, CustomNetwork), "a custom network has no twin"
    yield from weights_of(described.placed(network.spec.shape))


def keras_weights(model: Any, network: Network) -> Weights:
    """The weights of a Keras model, float32, in Keras's layout; those of the user's own network,
    whose names count through a process, by their place."""
    if isinstance(network.architecture, CustomNetwork):
        return {f"{i:04d}": weight.numpy() for i, weight in enumerate(model.weights)}
    return {
        f"{layer}/{name}": getattr(model.get_layer(layer), name).value.numpy().astype(np.float32)
        for layer, name, _, _ in _entries(network)
    }


def torch_weights(state: Mapping[str, np.ndarray], network: Network) -> Weights:
    """The weights of a PyTorch state dictionary (as NumPy arrays), float32, in Keras's layout.

    Raises ValueError when one is missing.
    """
    weights = {}
    for layer, name, other, axes in _entries(network):
        if f"{layer}.{other}" not in state:
            raise ValueError(f"weight {layer}.{other} is missing from the PyTorch weights.")
        array = np.asarray(state[f"{layer}.{other}"], np.float32)
        weights[f"{layer}/{name}"] = np.ascontiguousarray(array.transpose(axes))
    return weights


def load_torch_weights(directory: str | Path, network: Network) -> Weights:
    """The weights of a PyTorch model directory, read without PyTorch; those of the user's own
    network as they are, as it has no twin.

    TensorFlow's process stays free of PyTorch: loading Triton, which PyTorch's exporter does, after
    TensorFlow ends the process (both bring an LLVM of their own).
    """
    from safetensors.numpy import load_file

    state = load_file(weights_file(directory, "model.safetensors"))
    own = isinstance(network.architecture, CustomNetwork)
    return state if own else torch_weights(state, network)


def to_keras(weights: Mapping[str, np.ndarray], network: Network) -> Any:
    """A float32 Keras model of `network` with `weights`.

    Raises ValueError when a weight is missing or has another shape.
    """
    from components.networks import keras_layers, keras_model

    with keras_layers.float32_policy():  # reduced precision does not convert
        model = keras_model.build(network)
    for layer, name, _, _ in _entries(network):
        variable = getattr(model.get_layer(layer), name)
        variable.assign(_fitting(weights, f"{layer}/{name}", tuple(variable.shape)))
    return model


def to_torch(weights: Mapping[str, np.ndarray], network: Network) -> Any:
    """A float32 PyTorch network of `network` with `weights`, in eval mode.

    Raises ValueError when a weight is missing or has another shape.
    """
    import torch

    from components.networks import torch_model

    module = torch_model.build(network)
    state = module.state_dict()
    for layer, name, other, axes in _entries(network):
        held = state[f"{layer}.{other}"]
        shape = tuple(held.shape[axis] for axis in axes)
        array = _fitting(weights, f"{layer}/{name}", shape).transpose(np.argsort(axes))
        held.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return module.eval()


def load_keras(directory: str | Path) -> Any:
    """The Keras model of a model directory in float32, whatever precision it was trained in."""
    from components.networks import keras_layers, keras_model

    with keras_layers.float32_policy():
        return keras_model.load(directory)


def _fitting(weights: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in weights:
        raise ValueError(f"weight {name} is missing; the weights belong to another architecture.")
    array = np.asarray(weights[name], np.float32)
    if array.shape != shape:
        raise ValueError(f"weight {name} has shape {array.shape}, expected {shape}.")
    return array
