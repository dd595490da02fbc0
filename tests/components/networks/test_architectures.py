"""The networks of the presets: their layers and their exact sizes."""

import pytest

from components.networks.architectures import ARCHITECTURES
from components.networks.description import Architecture, operations, parameter_count
from tests.helpers import zoo

# Name: (trainable parameters, with moving statistics, multiply-accumulates per image).
SIZES = {
    "digits": (85_258, 85_450, 1_264_256),
    "mnist": (3_274_634, 3_274_634, 13_883_904),
    "mnist_tiny": (1_198, 1_198, 42_760),
    "cifar10": (157_866, 158_506, 29_213_952),
    "cifar10_small": (75_562, 75_946, 24_487_168),
    "cifar10_fast": (6_573_130, 6_577_610, 379_261_952),
    "smiles_v1": (388_673, 388_673, 60_162_304),
    "smiles_v2": (389_633, 390_593, 60_162_304),
    "smiles_v3": (1_696_801, 1_696_801, 211_681_408),
    "smiles_v4": (1_206_721, 1_206_721, 47_579_392),
    "efficientnet_lite0": (3_383_818, 3_425_834, 7_847_648),
    "efficientnet_lite1": (4_148_490, 4_202_154, 10_241_120),
    "efficientnet_lite2": (4_823_882, 4_881_978, 11_752_176),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_have_exactly_their_parameters_and_operations(name):
    network = zoo.network("keras", name)
    shape, architecture = network.spec.shape, network.architecture
    trainable = sum(placed.weights for placed in architecture.all_placed(shape))
    counts = (trainable, parameter_count(architecture, shape), operations(architecture, shape))
    assert counts == SIZES[name]
    if name != "digits":
        assert f"{counts[1]:,} parameters" in " ".join(ARCHITECTURES[name].__doc__.split()) or (
            f"{counts[1]:,} with moving statistics" in ARCHITECTURES[name].__doc__
        )


def test_the_tutorial_network_is_convolution_relu_batch_norm():
    names = [layer.label() for layer in ARCHITECTURES["cifar10"](10).layers]
    block, pool = ["conv", "relu", "batch_norm"], ["max_pool", "dropout"]
    head = ["global_average_pool", "dense", "relu", "dropout", "dense"]
    assert names == 2 * block + pool + 2 * block + pool + block + head


def test_the_smaller_tutorial_network_is_convolution_batch_norm_relu():
    names = [layer.label() for layer in ARCHITECTURES["cifar10_small"](10).layers]
    block, pool = ["conv", "batch_norm", "relu"], ["max_pool", "channel_dropout"]
    head = ["global_average_pool", "dense", "relu", "dropout", "dense"]
    assert names == 2 * (2 * block + pool) + head


@pytest.mark.parametrize("name", zoo.NAMES)
def test_a_description_survives_json(name):
    architecture = zoo.network("torch", name).architecture
    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture
