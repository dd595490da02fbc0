"""Both frameworks' networks side by side, as they were built."""

import io

import pytest
from rich.console import Console

from components.base.refusal import ConfigError
from components.networks import keras_model, keras_summary, torch_model, torch_summary
from components.networks.network import Network
from pipeline.commands.summary import Built, guess_classes, network_of, summarise, table
from pipeline.configuration.configure import configure
from pipeline.configuration.presets import PRESETS
from tests.helpers import zoo
from tests.helpers.images import write_class_folders


def built(network: Network) -> Built:
    found = {
        "keras": keras_summary.layers(keras_model.build(network)),
        "torch": torch_summary.layers(torch_model.build(network), network.spec.shape),
    }
    return {name: {layer.name: layer for layer in layers} for name, layers in found.items()}


def lines(network: Network, *frameworks: str) -> list[list[str]]:
    """The cells of the printed table's rows."""
    out, found = io.StringIO(), built(network)
    found = {name: found[name] for name in frameworks or found}
    Console(file=out, width=100).print(table(network, found))
    printed = out.getvalue().splitlines()
    assert max(map(len, printed)) <= 100 and "…" not in out.getvalue()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed if "│" in line]


@pytest.mark.parametrize(
    "name",
    [
        "cifar10_fast", "smiles_v3", "residual in residual", "sigmoid",
        "inverted residual of other shapes",
    ],
)  # fmt: skip
def test_every_layer_is_counted_as_built_and_the_frameworks_agree(name):
    network = zoo.network("keras", name)
    placed = {p.name: p for p in network.architecture.all_placed(network.spec.shape)}
    for layers in built(network).values():
        for layer, p in placed.items():
            assert (layers[layer].trainable, layers[layer].statistics) == (p.weights, p.statistics)
    rows = lines(network)
    assert len(rows) == 1 + len(placed) + 3
    totals = {row[0]: row for row in rows[-3:]}
    weights = sum(p.weights for p in placed.values())
    assert totals["trainable"][2] == totals["trainable"][4] == f"{weights:,}"
    assert totals["in all"][5] == f"{sum(p.operations for p in placed.values()):,}"


def test_a_row_has_each_frameworks_shape_in_its_own_order():
    rows = {row[0]: row[1:] for row in lines(zoo.network("keras", "one logit"))}
    assert rows["image"][:3] == ["9 x 11 x 3", "", "3 x 9 x 11"]
    assert rows["00_conv 4x4 /2"] == ["5 x 6 x 4", "196", "4 x 5 x 6", "196", "5,760"]
    assert rows["projection 1x1 /2"] == ["3 x 3 x 6", "30", "6 x 3 x 3", "30", "216"]
    assert rows["04_average_pool 2x2 /1"][0] == "2 x 2 x 6"


def test_a_framework_alone_has_the_table_for_itself():
    network = zoo.network("keras", "one logit")
    rows = {row[0]: row[1:] for row in lines(network, "torch")}
    assert rows["image"] == ["3 x 9 x 11", "", ""]
    assert rows["00_conv 4x4 /2"] == ["4 x 5 x 6", "196", "5,760"]
    assert rows["in all"] == [row for row in lines(network) if row[0] == "in all"][0][3:]


def test_classes_are_those_of_the_preset_or_of_the_users_images(tmp_path):
    for name in PRESETS:
        expected = 2 if "smile" in name else 10
        assert guess_classes(configure(name, {}), known=True) == expected
    folder = write_class_folders(tmp_path / "photos", per_class=2)
    assert guess_classes(configure(f"folder:{folder}", {}), known=False) == 3


def test_a_number_of_classes_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="--classes: .* there are 3 classes"):
        network_of(configure("smiles_v1", {}), 3)


def test_the_command_needs_no_data(tmp_path):
    """In processes of their own, as a person runs it."""
    out = io.StringIO()
    summarise("mnist_tiny", ["data.dir=/nowhere"], None, Console(file=out))
    text = out.getvalue()
    assert text.startswith(
        "Network mnist_tiny on 28 x 28 x 1 images of 10 classes, giving 10 logits"
    )
    assert text.count("1,198") == 4 and "42,760" in text
