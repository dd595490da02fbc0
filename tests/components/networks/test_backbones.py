"""The descriptions of pretrained networks."""

import pytest

from components.networks.architectures import ARCHITECTURES
from components.networks.backbones import BACKBONES, layers_of
from components.networks.description import Architecture
from tests.helpers.photographs import pretrained_network

# Trainable ones with ImageNet's 1,000 classes, as the packages' own networks have.
PARAMETERS = {
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_they_have_the_published_number_of_parameters(name):
    network = pretrained_network("torch", name)
    layers = network.architecture.all_placed(network.spec.shape)
    assert sum(placed.weights for placed in layers) == PARAMETERS[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_ends_with_its_features_and_a_head_follows(name):
    network = pretrained_network("torch", name, classes=3, side=97)
    *_, last = network.backbone_layers
    assert last.layer.kind == "global_average_pool"
    assert last.after == (BACKBONES[name].features,)
    assert [placed.layer.kind for placed in network.head_layers] == ["dropout", "dense"]
    assert network.head_layers[0].before == last.after
    assert network.architecture.layers[: network.backbone.layers] == layers_of(name)
    assert network.backbone.weights == BACKBONES[name].weights


def test_the_description_of_a_backbone_survives_json_and_others_have_none():
    made = ARCHITECTURES["efficientnet_lite0"](4)
    assert Architecture.model_validate_json(made.model_dump_json()) == made
    assert "backbone" not in ARCHITECTURES["digits"](4).model_dump()


def test_a_backbone_without_a_head_is_refused():
    made = ARCHITECTURES["efficientnet_lite0"](4)
    with pytest.raises(ValueError, match="backbone of 23 layers and 23 in all, expected a head"):
        Architecture(name="a", layers=made.layers[:23], backbone=made.backbone)
