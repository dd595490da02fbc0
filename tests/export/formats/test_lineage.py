"""Equal lineage means equal graphs and weights: what inference depends on changes it, and nothing
else does."""

import shutil

import numpy as np
import pytest

from components.base import fingerprint
from components.networks.custom_network import CustomNetwork
from components.networks.network import Network
from export.formats import lineage
from tests.helpers.export_data import LABELS, SPECS, network

WEIGHTS = {"00_conv/kernel": np.arange(4, dtype=np.float32)}


def identify(weights=WEIGHTS, with_transform=True, description=None) -> str:
    return lineage.identify(description or network("keras"), weights, with_transform)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the project that may be edited."""
    root = tmp_path / "project"
    for package in fingerprint.PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(fingerprint.ROOT / package, root / package, ignore=ignored)
    monkeypatch.setattr(fingerprint, "ROOT", root)
    return root


def test_it_names_the_framework_and_follows_weights_and_description():
    first = identify()
    assert first == identify() and first.startswith("keras-") and len(first) == 6 + 16
    altered = {"00_conv/kernel": np.array([0, 1, 2, 3.0000002], np.float32)}
    others = {
        identify(weights=altered),
        identify(weights={"00_conv/kernel": WEIGHTS["00_conv/kernel"].astype(np.float64)}),
        identify(with_transform=False),
        identify(description=network("keras").with_framework("torch")),
    }
    assert len(others) == 4 and first not in others


ON_THE_WAY = (
    "components/data/transform_tfx.py",
    "components/networks/custom_network.py",
    "components/networks/description.py",
    "components/networks/keras_layers.py",
    "components/networks/keras_model.py",
    "components/networks/layers.py",
    "components/networks/network.py",
    "components/networks/torch_layers.py",
    "components/networks/torch_model.py",
    "export/formats/contract.py",
    "export/formats/inference.py",
    "export/formats/onnx.py",
    "export/formats/tflite.py",
    "export/formats/twin.py",
    "serving/contract/image_spec.py",
    "serving/contract/open_image.py",
)
ELSEWHERE = (
    "components/base/process.py",
    "components/gates/model_gates.py",
    "components/networks/architectures.py",
    "components/training/train_keras.py",
    "export/exporter.py",
    "export/release/bundle.py",
    "export/verification/parity.py",
    "pipeline/line/dag.py",
    "serving/store/store.py",
)


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_code_between_an_image_and_its_probabilities_changes_it_and_comments_do_not(copy, name):
    first, file = identify(), copy / name
    text = file.read_text()
    file.write_text(text.replace('"""', '"""Said otherwise. ', 1) + "\n# a comment\n\n\n")
    assert identify() == first
    file.write_text(text + "\nEDITED = 1\n")
    assert identify() != first


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_code_leaves_it_alone(copy, name):
    first = identify()
    with (copy / name).open("a") as file:
        file.write("\nEDITED = 1\n")
    assert identify() == first


def test_the_transform_counts_only_where_it_is_in_the_graph(copy):
    first = identify(with_transform=False)
    with (copy / "components/data/transform_tfx.py").open("a") as file:
        file.write("\nEDITED = 1\n")
    assert identify(with_transform=False) == first


def test_a_module_that_is_missing_is_no_lineage_at_all(copy):
    (copy / "export/formats/onnx.py").unlink()
    with pytest.raises(ValueError, match="export.formats.onnx"):
        identify()


def test_a_users_own_network_brings_its_module_and_what_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lineage_net.py").write_text("import lineage_block\n")
    (tmp_path / "lineage_block.py").write_text("WIDTH = 1\n")
    custom = CustomNetwork(reference="lineage_net:build", classes=10, frameworks=("torch",))
    description = Network("torch", custom, SPECS["digits"], LABELS)
    first = identify(description=description)
    (tmp_path / "lineage_block.py").write_text("WIDTH = 1  # a comment\n")
    assert identify(description=description) == first
    (tmp_path / "lineage_block.py").write_text("WIDTH = 2\n")
    assert identify(description=description) != first
