"""A pretrained network: its head learns from features, its last layers from images, the rest is
left alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from components.base.frameworks import IMPORTED
from components.base.process import StepFailed, run_module
from components.features.extract import FeatureArgs
from components.networks.network import Network
from components.networks.pretrained import backbone_weights
from components.networks.weight_layout import weights_of
from components.training.arguments import TrainArgs
from components.training.config import TrainConfig
from tests.components.features.test_features import LABELS, write_arrays

TRAIN, HEAD_EPOCHS = 60, 20
ARCHITECTURE = "efficientnet_lite0"
_WRITTEN = ("result", "history")


@pytest.fixture(scope="module")
def data(tmp_path_factory, warm_processes) -> Path:
    """arrays/, plan/ and features/ of digits as RGB images of 32x32."""
    root = tmp_path_factory.mktemp("data")
    write_arrays(root / "arrays", train=TRAIN)
    (root / "plan").mkdir()
    (root / "plan" / "policy.json").write_text(json.dumps({"keras": [], "torch": []}))
    np.save(root / "plan" / "index.npy", np.arange(TRAIN))
    np.save(root / "plan" / "class_weights.npy", np.ones(len(LABELS)))
    (root / "features").mkdir()
    arguments = FeatureArgs(
        arrays=root / "arrays",
        policy=(),
        architecture=ARCHITECTURE,
        output=root / "features",
        threads=1,
    )
    run_module("components.features.torch_features", arguments, root, seconds=600, imports="torch")
    return root


def train(data: Path, root: Path, framework: str, **recipe: object) -> tuple[dict, list[dict]]:
    """result.json and history.json of a training in `root`, which gets the model too."""
    config = {
        "epochs": HEAD_EPOCHS, "batch_size": 16, "learning_rate": 0.02, "threads": 1,
        "precision": "float32", "finetune_learning_rate": 1e-4,
    }  # fmt: skip
    arguments = TrainArgs(
        arrays=data / "arrays",
        plan=data / "plan",
        features=data / "features",
        architecture=ARCHITECTURE,
        train=TrainConfig(**(config | recipe)),
        model_dir=root / "model",
        run_dir=root / "run",
    )
    root.mkdir(exist_ok=True)
    module = f"components.training.train_{framework}"
    run_module(module, arguments, root, seconds=600, imports=IMPORTED[framework])
    return tuple(
        json.loads((root / "run" / f"{n}.json").read_text()) for n in ("result", "history")
    )


def moved(root: Path, framework: str) -> tuple[set[str], set[str]]:
    """Numbers of the backbone's layers (`00`, `01`) whose weights, and whose batch norms, are no
    longer the pretrained ones."""
    network = Network.load(root / "model")
    before = backbone_weights(network)
    after = weights(root, framework, network)
    found: tuple[set[str], set[str]] = set(), set()
    for of in weights_of(network.backbone_layers):
        name = f"{of.layer}.{of.torch}"
        if np.abs(after[name] - before[name]).max() > 0:
            found["batch_norm" in of.layer.rpartition(".")[2]].add(of.layer[:2])
    return found


def weights(root: Path, framework: str, network: Network) -> dict[str, np.ndarray]:
    """The backbone's weights of the trained model, as PyTorch has them."""
    if framework == "torch":
        return safetensors.numpy.load_file(root / "model" / "model.safetensors")
    from components.networks import keras_model

    model = keras_model.load(root / "model")
    return {
        f"{of.layer}.{of.torch}": np.transpose(
            getattr(model.get_layer(of.layer), of.keras).numpy(), np.argsort(of.axes)
        )
        for of in weights_of(network.backbone_layers)
    }


@pytest.fixture(scope="module", params=["torch", "keras"])
def framework(request) -> str:
    return request.param


def test_the_head_learns_and_the_backbone_stays_as_it_was(tmp_path, data, framework):
    result, history = train(data, tmp_path / "head", framework)
    assert len(history) == HEAD_EPOCHS
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert result["val_loss"] == min(row["val_loss"] for row in history)
    assert moved(tmp_path / "head", framework) == (set(), set())
    assert "float32" in result["device"] and not result["finetuned"]


def test_fine_tuning_goes_on_with_the_last_layers_and_leaves_batch_norm_alone(
    tmp_path, data, framework
):
    result, history = train(
        data, tmp_path / "tuned", framework, finetune_epochs=2, finetune_layers=6
    )
    assert [row["epoch"] for row in history] == list(range(1, HEAD_EPOCHS + 3))
    # From the weights of the head: not from scratch.
    assert history[HEAD_EPOCHS]["loss"] < 0.6 * history[0]["loss"]
    assert max(row["learning_rate"] for row in history[HEAD_EPOCHS:]) <= 1e-4
    layers, norms = moved(tmp_path / "tuned", framework)
    assert not norms
    assert result["finetuned"] == (result["best_epoch"] > HEAD_EPOCHS)
    if result["finetuned"]:
        # Of the last six two have weights: the last block and the convolution to the features.
        assert layers == {"18", "19"}
    else:
        assert not layers


def test_a_fine_tuning_that_makes_it_worse_is_not_kept(tmp_path, data):
    result, history = train(
        data, tmp_path / "worse", "torch", finetune_epochs=1, finetune_learning_rate=0.3,
        optimizer="sgd", momentum=0,
    )  # fmt: skip
    assert history[-1]["val_loss"] > result["val_loss"]
    assert result["best_epoch"] <= HEAD_EPOCHS and not result["finetuned"]
    assert moved(tmp_path / "worse", "torch") == (set(), set())


def test_features_of_other_images_are_refused(tmp_path, data):
    fewer = write_arrays(tmp_path / "fewer", train=TRAIN - 1)
    other = tmp_path / "data"
    other.mkdir()
    for name in ("plan", "features"):
        (other / name).symlink_to(data / name)
    (other / "arrays").symlink_to(fewer)
    with pytest.raises(StepFailed, match="features"):
        train(other, tmp_path / "run", "torch")
