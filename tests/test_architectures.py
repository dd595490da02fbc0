"""Descriptions: shapes, parameter counts and the errors of networks that cannot be."""

import pytest
from pydantic import ValidationError

from components.architectures import (
    ARCHITECTURES,
    Architecture,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    layer_shapes,
    parameter_count,
)


def test_the_tutorial_network_has_158506_parameters_with_moving_statistics():
    assert parameter_count(ARCHITECTURES["cifar10"](10), (32, 32, 3)) == 158_506


def test_the_tutorial_network_has_its_layers_in_order():
    kinds = [layer.kind for layer in ARCHITECTURES["cifar10"](10).layers]
    block = ["conv", "relu", "batch_norm"]
    pool = ["max_pool", "dropout"]
    head = ["global_average_pool", "dense", "relu", "dropout", "dense"]
    assert kinds == 2 * block + pool + 2 * block + pool + block + head


def test_shapes_follow_padding_and_drop_the_remainder_of_a_pooling():
    layers = (Conv(filters=4, padding="valid"), MaxPool(), Flatten(), Dense(units=2))
    architecture = Architecture(name="a", layers=layers)
    assert layer_shapes(architecture, (9, 8, 1)) == [(7, 6, 4), (3, 3, 4), (36,), (2,)]


def test_layer_names_hold_their_place_and_kind():
    names = [name for name, _ in ARCHITECTURES["digits"](10).named_layers()]
    assert names[:3] == ["00_conv", "01_relu", "02_batch_norm"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Dense(units=2),), "put flatten or global_average_pool before it"),
        ((GlobalAveragePool(), MaxPool()), "put it before flattening"),
        ((MaxPool(size=9),), "nothing is left of the image"),
    ],
)
def test_a_layer_that_cannot_take_its_input_is_named(layers, message):
    with pytest.raises(ValueError, match=message):
        layer_shapes(Architecture(name="a", layers=layers), (8, 8, 1))


def test_a_description_survives_json():
    architecture = ARCHITECTURES["cifar10"](10)
    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture


def test_an_unknown_field_of_a_layer_is_refused():
    with pytest.raises(ValidationError, match="stride"):
        Architecture.model_validate(
            {"name": "a", "layers": [{"kind": "conv", "filters": 1, "stride": 2}]}
        )
