"""Small trained networks of any shape, in seconds: features at random, answers fitted to them.

Only the last layer learns, by least squares, on images that are easily told apart; its answers are
then mostly right and sure, as those of a trained network are.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from components.base.process import run_module
from components.data.arrays import ImageArrays
from components.evaluation import temperature as temperatures
from components.networks.description import Architecture
from components.networks.layers import (
    Activation,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    Residual,
)
from components.networks.network import Network
from export.export_formats import FormatsArgs, write_format
from export.formats import contract as contracts
from export.formats.trained_model import TrainedModel
from export.verification.config import ExportConfig
from export.verification.held_out import GOLDEN_ANSWERS
from export.verification.parity import ParityArgs
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import CONTRACT, FORMATS
from tests.helpers.export_data import random_weights

COUNTS = {"train": 240, "test": 200, "val": 60}
_NOISE = 45
_RELU = Activation()
_LABELS = tuple(f"class {number}" for number in range(12))
_SURE = 6.0
"""What the logit of the right class is above the others', about."""

# No layer is as wide as there may be classes: by that the last one's weights are found in a file.
_BODIES: dict[str, tuple[Layer, ...]] = {
    "digits": (
        Conv(filters=16), _RELU, BatchNorm(), Conv(filters=20), _RELU, BatchNorm(), MaxPool(),
        Dropout(rate=0.25), Flatten(), Dense(units=32), _RELU, Dropout(rate=0.5),
    ),
    "tiny": (
        *(Conv(filters=13, padding="valid"), _RELU, MaxPool()),
        *(Conv(filters=14, padding="valid"), _RELU, Flatten()),
    ),
    "strided": (
        Conv(filters=16, kernel=4, stride=2), Activation(function="silu"),
        Conv(filters=15, stride=2, padding="full"), BatchNorm(), _RELU, Flatten(),
    ),
    "residual": (
        Conv(filters=13, bias=False), BatchNorm(), _RELU,
        Residual(layers=(Conv(filters=14), BatchNorm(), _RELU, Conv(filters=14, stride=2))), _RELU,
        AveragePool(kernel=2), Flatten(),
    ),
    "wide": (
        Conv(filters=13, kernel=5), Activation(function="leaky_relu"), MaxPool(kernel=3, stride=2),
        Flatten(), Dense(units=40), Activation(function="tanh"),
    ),
}  # fmt: skip
KINDS = tuple(_BODIES)


@dataclasses.dataclass(frozen=True)
class SmallNet:
    """A trained network: `directory` holds `model`, `arrays`, `predictions` and, once exported,
    `exports`."""

    directory: Path
    network: Network

    @property
    def model(self) -> Path:
        return self.directory / "model"

    @property
    def arrays(self) -> Path:
        return self.directory / "arrays"

    @property
    def predictions(self) -> Path:
        return self.directory / "predictions"

    @property
    def exports(self) -> Path:
        return self.directory / "exports"

    @property
    def contract(self) -> dict:
        return json.loads((self.exports / CONTRACT).read_text())

    def path(self, artifact: str) -> Path:
        return self.exports / FORMATS[artifact].file

    def moved(self, directory: Path) -> "SmallNet":
        """The same, where its files have been copied to."""
        return dataclasses.replace(self, directory=directory)


def drawn(seed: int, **fixed) -> Network:
    """A network of a kind, image size, channel count and number of classes drawn by `seed`, or of
    those that are `fixed` (kind, height, width, channels, classes, framework, logits)."""
    rng = np.random.default_rng(seed)
    values = {
        "kind": str(rng.choice(KINDS)),
        "height": int(rng.integers(10, 22)),
        "width": int(rng.integers(10, 22)),
        "channels": int(rng.choice([1, 3])),
        "classes": int(rng.integers(2, 13)),
        "framework": "keras",
        "logits": bool(rng.integers(4)),  # or probabilities, by an activation behind them
    } | fixed
    channels, classes = values["channels"], values["classes"]
    # Two classes are one logit as often as they are two.
    single = classes == 2 and bool(rng.integers(2))
    head: tuple[Layer, ...] = (Dense(units=1 if single else classes),)
    if not values["logits"]:
        head += (Activation(function="sigmoid" if single else "softmax"),)
    spec = ImageSpec(
        values["height"], values["width"], channels,
        tuple(rng.uniform(0.3, 0.6, channels)), tuple(rng.uniform(0.15, 0.35, channels)),
    )  # fmt: skip
    body = _BODIES[values["kind"]]
    architecture = Architecture(name=values["kind"], layers=body + head)
    return Network(values["framework"], architecture, spec, _LABELS[:classes])


def make(
    directory: Path, network: Network, seed: int, trained: bool = True, temperature: float = 1.0
) -> SmallNet:
    """Images, the network with its weights, and its own predictions. Not `trained`, its answers
    are those of random weights: few are sure."""
    from components.networks import keras_model
    from export.formats import twin

    made = SmallNet(directory, network)
    _write_arrays(made, seed)
    model = twin.to_keras(random_weights(network, seed), network)
    if trained:
        _fit_last_layer(model, made)
    made.predictions.mkdir()
    if temperature != 1:
        text = json.dumps({"temperature": temperature})
        (made.predictions / temperatures.FILE).write_text(text)
    if network.framework == "keras":
        keras_model.save(model, network, made.model)
        outputs = {name: model(images, training=False) for name, images, _ in _splits(made)}
        probabilities = keras_model.probabilities
    else:
        import torch

        from components.networks import torch_model

        module = twin.to_torch(twin.keras_weights(model, network), network)
        torch_model.save(module, network, made.model)
        with torch.inference_mode():
            outputs = {
                name: module(torch.from_numpy(images).permute(0, 3, 1, 2))
                for name, images, _ in _splits(made)
            }
        probabilities = torch_model.probabilities
    for name, _, labels in _splits(made):
        found = probabilities(outputs[name], network.architecture, temperature).numpy()
        np.savez(made.predictions / f"{name}.npz", probabilities=found, labels=labels)
    return made


def export(made: SmallNet, formats: tuple[str, ...], transform: Path | None = None) -> list[str]:
    """Writes those of the formats that the network has, by the exporter's own code."""
    framework = made.network.framework
    found = [name for name in contracts.formats(made.network) if name in formats]
    alone = [name for name in found if framework == "torch" and FORMATS[name].from_torch]
    model = opened(made, transform=transform)
    made.exports.mkdir(exist_ok=True)
    (made.exports / CONTRACT).write_text(contracts.to_json(model.contract) + "\n")
    for name in found:
        if name not in alone:
            write_format(model, name, made.exports)
    if alone:
        _by_pytorch(made, alone)
    return found


def opened(made: SmallNet, contract: dict | None = None, transform: Path | None = None):
    """The `TrainedModel`, as the exporter reads it."""
    return TrainedModel(
        made.model, made.network.framework, transform, contract, arrays=made.arrays,
        temperature=temperatures.load(made.predictions), calibration_count=COUNTS["train"],
    )  # fmt: skip


def _by_pytorch(made: SmallNet, formats: list[str]) -> None:
    scratch = made.directory / "scratch"
    args = FormatsArgs(
        framework="torch", model_dir=made.model, contract=made.contract, formats=formats,
        required=formats, arrays=made.arrays, calibration_images=COUNTS["train"],
        output=made.exports, failures=scratch / "failures.json",
    )  # fmt: skip
    run_module("export.export_formats", args, scratch, seconds=600, threads=1, gpu=False)


def parity_args(made: SmallNet, artifact: str, examples: Path | None = None) -> ParityArgs:
    """As the exporter asks for the verification."""
    full = FORMATS[artifact].precision == "float32"
    return ParityArgs(
        artifact=artifact,
        path=made.path(artifact),
        arrays=made.arrays,
        predictions=made.predictions,
        examples=examples,
        images=ExportConfig().images,
        tie=ExportConfig().max_difference if full else 0.0,
        lineage=made.contract["lineage"],
        golden=made.exports / GOLDEN_ANSWERS / f"{artifact}.npy",
        output=made.directory / f"{artifact}.records.json",
    )


def _write_arrays(made: SmallNet, seed: int) -> None:
    """Every class is a picture of a few large squares, and each of its images that, noisy."""
    spec, rng = made.network.spec, np.random.default_rng(seed)
    classes = len(made.network.labels)
    squares = rng.uniform(20, 235, (classes, 4, 4, spec.channels))
    tall, wide = -(-spec.height // 4), -(-spec.width // 4)
    pictures = np.kron(squares, np.ones((1, tall, wide, 1)))[:, : spec.height, : spec.width]
    for name, count in COUNTS.items():
        labels = np.arange(count) % classes
        images = pictures[labels] + rng.normal(0, _NOISE, (count, *spec.shape))
        (made.arrays / name).mkdir(parents=True)
        pixels = images.round().clip(0, 255).astype(np.uint8)
        np.save(made.arrays / name / "images-00000.npy", pixels)
        np.save(made.arrays / name / "labels-00000.npy", labels)
    (made.arrays / "image_spec.json").write_text(spec.to_json())
    (made.arrays / "labels.json").write_text(json.dumps(made.network.labels))


def _splits(made: SmallNet):
    """(name, images float32, labels) of those that predictions are made of."""
    for name in ("test", "val"):
        split = ImageArrays(made.arrays).split(name)
        yield name, split.images(np.arange(len(split))).astype(np.float32), split.labels


def _fit_last_layer(model, made: SmallNet) -> None:
    """Ridge regression of the last dense layer's outputs on its inputs."""
    import keras

    (*_, last) = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    split = ImageArrays(made.arrays).split("train")
    images = split.images(np.arange(len(split))).astype(np.float32)
    features = keras.Model(model.input, last.input)(images, training=False).numpy()
    features = np.hstack([features, np.ones((len(features), 1))]).astype(np.float64)
    wanted = np.eye(len(made.network.labels))[split.labels] * 2 - 1
    if last.units == 1:
        wanted = wanted[:, 1:]
    square = features.T @ features
    square += np.eye(len(square)) * np.trace(square) * 1e-4
    fitted = np.linalg.solve(square, features.T @ wanted * _SURE / 2)
    last.set_weights([fitted[:-1].astype(np.float32), fitted[-1].astype(np.float32)])
