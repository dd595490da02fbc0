"""Descriptions: names, shapes, outputs, and the errors of networks that cannot be."""

import json

import pytest
from pydantic import ValidationError

from components.networks.description import Architecture, operations, parameter_count
from components.networks.layers import (
    Activation,
    AveragePool,
    ChannelDropout,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAveragePool,
    InvertedResidual,
    MaxPool,
    Residual,
)
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec


def architecture(*layers) -> Architecture:
    return Architecture(name="a", layers=layers)


def shapes(*layers) -> list[tuple[int, ...]]:
    """After each layer, for an image of 9x8."""
    return [placed.after for placed in architecture(*layers).placed((9, 8, 1))]


def test_shapes_follow_padding_and_drop_the_remainder_of_a_pooling():
    layers = (Conv(filters=4, padding="valid"), MaxPool(), Flatten(), Dense(units=2))
    assert shapes(*layers) == [(7, 6, 4), (3, 3, 4), (36,), (2,)]


@pytest.mark.parametrize(
    "layer, after",
    [
        (Conv(filters=2, kernel=3, stride=2), (5, 4, 2)),
        (Conv(filters=2, kernel=3, stride=2, padding="valid"), (4, 3, 2)),
        (Conv(filters=2, kernel=3, padding="full"), (11, 10, 2)),
        (Conv(filters=2, kernel=3, stride=2, padding="full"), (6, 5, 2)),
        (MaxPool(kernel=3, stride=2), (4, 3, 1)),
        (AveragePool(kernel=3, stride=1), (7, 6, 1)),
        (Residual(layers=(Conv(filters=3, stride=2), MaxPool(kernel=1 + 1, stride=1))), None),
        (Residual(layers=(Conv(filters=3, stride=3),)), (3, 3, 3)),
    ],
)
def test_strides_full_padding_and_overlapping_pools_have_the_shapes_they_should(layer, after):
    if after is None:
        with pytest.raises(ValueError, match=r"00_residual: its layers make \(4, 3, 3\)"):
            shapes(layer)
    else:
        assert shapes(layer) == [after]


def test_names_hold_place_and_kind_and_those_inside_of_a_block_the_blocks_name():
    block = Residual(layers=(Conv(filters=2), Activation(function="gelu")))
    placed = architecture(Conv(filters=3), Activation(), block).all_placed((4, 4, 1))
    inside = ["02_residual.00_conv", "02_residual.01_gelu", "02_residual.projection"]
    assert [p.name for p in placed] == ["00_conv", "01_relu", *inside, "02_residual"]


def test_weights_and_operations_count_projections_and_strides():
    made = architecture(Residual(layers=(Conv(filters=4, kernel=3, stride=2),)))
    # Of 8x8x2 the block makes 4x4x4: by 3x3 kernels, and by the projection's 1x1.
    assert parameter_count(made, (8, 8, 2)) == (9 * 2 * 4 + 4) + (2 * 4 + 4)
    assert operations(made, (8, 8, 2)) == 16 * 4 * 9 * 2 + 16 * 4 * 2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Dense(units=2),), "put flatten or global_average_pool before it"),
        ((GlobalAveragePool(), MaxPool()), "put it before flattening"),
        ((Flatten(), ChannelDropout(rate=0.1)), "put it before flattening"),
        ((MaxPool(kernel=9),), "nothing is left of the image"),
        ((MaxPool(kernel=30, stride=1),), "nothing is left of the image"),
        ((Residual(layers=(GlobalAveragePool(),)),), "a projection with their strides"),
        ((Residual(layers=(Conv(filters=1, padding="valid"),)),), "use `same` padding"),
        ((Residual(layers=(MaxPool(kernel=9),)),), "layer 00_residual.00_max_pool: nothing"),
    ],
)
def test_a_layer_that_cannot_take_its_input_is_named(layers, message):
    with pytest.raises(ValueError, match=message):
        architecture(*layers).placed((8, 8, 1))


@pytest.mark.parametrize(
    "last, output",
    [
        ((), "logits"),
        (("softmax",), "probabilities"),
        (("sigmoid",), "probabilities"),
        (("log_softmax",), "log_probabilities"),
    ],
)
def test_the_last_layer_says_what_the_network_gives(last, output):
    made = architecture(Flatten(), Dense(units=7), *(Activation(function=f) for f in last))
    assert (made.output, made.units) == (output, 7)


def network(*layers, classes: int) -> Network:
    return Network("torch", architecture(Flatten(), *layers), ImageSpec(8, 8, 1), "abc"[:classes])


def test_one_unit_is_enough_for_two_classes():
    assert network(Dense(units=1), classes=2).architecture.units == 1
    assert network(Dense(units=1), Activation(function="sigmoid"), classes=2).labels == ("a", "b")


def test_an_inverted_residual_is_made_of_what_the_paper_says():
    made = architecture(
        Conv(filters=4),
        InvertedResidual(filters=4, kernel=5),
        InvertedResidual(filters=6, expansion=1, stride=2),
        Flatten(),
        Dense(units=2),
    )
    _, first, second, *_ = made.placed((7, 9, 3))
    assert [placed.name for placed in first.inner] == [
        f"01_inverted_residual.{name}"
        for name in (
            "00_conv", "01_batch_norm", "02_relu6",
            "03_depthwise_conv", "04_batch_norm", "05_relu6",
            "06_conv", "07_batch_norm",
        )
    ]  # fmt: skip
    assert [placed.after for placed in first.inner[::3]] == [(7, 9, 24), (7, 9, 24), (7, 9, 4)]
    assert (first.adds_input, first.weights, first.statistics) == (True, 0, 0)
    # 4 to 24 channels, 5x5 for each of 24, 24 to 4: none has a bias.
    assert [placed.weights for placed in first.inner[::3]] == [96, 600, 96]
    assert [placed.operations for placed in first.inner[::3]] == [63 * 96, 63 * 600, 63 * 96]
    assert (second.adds_input, second.after) == (False, (4, 5, 6))
    assert [placed.layer.kind for placed in second.inner][0] == "depthwise_conv"


@pytest.mark.parametrize("layer", [DepthwiseConv(), InvertedResidual(filters=3)])
def test_a_flat_input_is_no_image(layer):
    with pytest.raises(ValueError, match=r"shape \(64,\), expected \(height, width, channels\)"):
        architecture(Flatten(), layer, Dense(units=2)).placed((8, 8, 1))


def test_a_depthwise_convolution_has_a_kernel_and_a_bias_for_each_channel():
    (placed,) = architecture(DepthwiseConv(kernel=5, stride=2)).placed((9, 8, 7))
    assert placed.after == (5, 4, 7) and not placed.adds_input
    assert (placed.weights, placed.operations) == (7 * 26, 5 * 4 * 7 * 25)


@pytest.mark.parametrize(
    "layers, classes, message",
    [
        ((Dense(units=3),), 2, "3 units, expected one unit for each of the 2 classes"),
        ((Dense(units=1),), 3, "second class's of two, and there are 3 classes"),
        ((Dense(units=2), Activation(function="relu")), 2, "expected a dense layer, after which"),
        ((Dense(units=2), Activation(function="sigmoid")), 2, "expected sigmoid of one unit"),
        ((Dense(units=1), Activation(function="softmax")), 2, "expected sigmoid of one unit"),
        ((), 2, "expected a dense layer"),
    ],
)
def test_an_output_that_does_not_fit_the_classes_is_refused(layers, classes, message):
    with pytest.raises(ValueError, match=message):
        network(*layers, classes=classes)


def test_descriptions_of_earlier_releases_still_load(tmp_path):
    """As version 1 of the digits model has it: ReLU a kind of its own, and a pooling's size."""
    layers = [
        {"kind": "conv", "filters": 4, "kernel": 3, "padding": "same"},
        {"kind": "relu"},
        {"kind": "max_pool", "size": 2},
        {"kind": "flatten"},
        {"kind": "dense", "units": 2},
    ]
    values = {
        "framework": "keras",
        "architecture": {"name": "a", "layers": layers},
        "image_spec": ImageSpec(8, 8, 1).to_dict(),
        "labels": ["a", "b"],
    }
    (tmp_path / "network.json").write_text(json.dumps(values))
    loaded = Network.load(tmp_path)
    today = (Conv(filters=4), Activation(), MaxPool(kernel=2), Flatten(), Dense(units=2))
    assert loaded.architecture == architecture(*today)
    assert loaded.architecture.placed((8, 8, 1))[1].name == "01_relu"
    loaded.save(tmp_path)
    assert Network.load(tmp_path) == loaded


def test_an_unknown_field_of_a_layer_is_refused():
    with pytest.raises(ValidationError, match="dilation"):
        Architecture.model_validate(
            {"name": "a", "layers": [{"kind": "conv", "filters": 1, "dilation": 2}]}
        )
