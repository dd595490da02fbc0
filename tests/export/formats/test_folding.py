"""A folded network gives the numbers of the one it was made of, with fewer operations."""

import numpy as np
import pytest

from components.networks import keras_model
from components.networks.description import Architecture
from components.networks.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool,
)
from components.networks.network import Network
from export.formats import folding, twin
from tests.helpers import zoo
from tests.helpers.export_data import random_weights

RELU = Activation()
BLOCK = (Conv(filters=4), RELU, BatchNorm())
SIZES = ("digits", "mnist_tiny", "cifar10", "cifar10_small")  # the largest would only take longer


def network(*layers) -> Network:
    architecture = Architecture(name="folded", layers=(*layers, Dense(units=3)))
    return Network("keras", architecture, zoo.network("keras", "valid").spec, tuple("abc"))


def weights(description: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Random ones in which every third gain of a batch norm is negative, and every seventh zero."""
    found = random_weights(description, seed)
    for name, array in found.items():
        if name.endswith("gamma"):
            array[::3] *= -1
            array[::7] = 0
    return found


def assert_same(description: Network) -> None:
    held = weights(description)
    images = np.random.default_rng(1).integers(0, 256, (3, *description.spec.shape))
    images = images.astype(np.float32)
    expected, found = (
        np.asarray(model(images, training=False))
        for model in (twin.to_keras(held, description), folding.fold(description, held))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", [*zoo.LAYERS, *SIZES])
def test_a_folded_network_gives_the_same_numbers(name):
    assert_same(zoo.network("keras", name))


@pytest.mark.parametrize(
    "layers",
    [
        (*BLOCK, MaxPool(), Conv(filters=3), GlobalAveragePool()),
        (*BLOCK, Conv(filters=3, padding="valid"), RELU, BatchNorm(), Flatten()),
        (*BLOCK, Conv(filters=3, padding="full"), BatchNorm(), RELU, BatchNorm(), Flatten()),
        (
            BatchNorm(),
            BatchNorm(),
            RELU,
            *BLOCK,
            Activation(function="gelu"),
            BatchNorm(),
            Flatten(),
        ),
        (Flatten(), BatchNorm(), Dense(units=4), RELU, BatchNorm()),
    ],
)
def test_batch_norm_in_unusual_places_gives_the_same_numbers(layers):
    assert_same(network(*layers))


def test_only_offsets_in_front_of_zeros_are_left():
    """Of CIFAR-10's six multiplications and six additions five additions are."""
    description = zoo.network("keras", "cifar10")
    kinds = [
        type(o).__name__ for o in folding.fold(description, random_weights(description)).operations
    ]
    assert kinds.count("Add") == 5
    assert not {"Multiply", "BatchNorm", "BatchNormalization", "Rescaling", "Dropout"} & set(kinds)


def test_a_gain_near_zero_costs_no_digits():
    description = network(*BLOCK, Conv(filters=3), GlobalAveragePool())
    held = weights(description)
    held["02_batch_norm/gamma"][:] = [1e-12, -1e-12, 0, 1]
    held["02_batch_norm/beta"][:] = 5
    images = np.full((1, *description.spec.shape), 99, np.float32)
    expected = keras_model.probabilities(
        twin.to_keras(held, description)(images), description.architecture
    )
    found = keras_model.probabilities(
        folding.fold(description, held)(images), description.architecture
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
