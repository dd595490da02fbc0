"""Keras's own archive (`.keras`), opened by Keras alone: `keras.saving.load_model(path)(images)`.

Of Keras's own layers only: those that Darkroom trains with mean the same, cost less while training,
and would ask for Darkroom's code wherever the file is opened. Dropout is left out.
"""

import zipfile
from pathlib import Path

import keras

from components.networks import keras_layers, keras_model
from components.networks.keras_layers import float32_policy
from export.formats import contract as contracts
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import CONTRACT


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model, from `image` uint8 to `probabilities`, with the contract in the archive."""
    del precision
    path = Path(path)
    with float32_policy():
        image = keras.Input(model.network.spec.shape, name=contracts.IMAGE, dtype="uint8")
        outputs = with_kerass_own_layers(model.keras_model)(keras.ops.cast(image, "float32"))
        found = keras_model.probabilities(outputs, model.network.architecture, model.temperature)
        named = keras.layers.Identity(name=contracts.PROBABILITIES)(found)
        keras.Model(image, named, name=model.network.architecture.name).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(CONTRACT), contracts.to_json(model.contract) + "\n")
    return path


def read_contract(path: str | Path) -> str:
    """The contract in the archive, as JSON. Raises ValueError where there is none."""
    with zipfile.ZipFile(path) as archive:
        if CONTRACT not in archive.namelist():
            raise ValueError(f"{path} holds no {CONTRACT}: export the model again.")
        return archive.read(CONTRACT).decode()


def with_kerass_own_layers(model: keras.Model) -> keras.Model:
    """The same network, float32 in and out, with the same weights."""

    def own(layer: keras.Layer) -> keras.Layer:
        match layer:
            case keras_layers.BatchNorm():
                return keras.layers.BatchNormalization(
                    momentum=layer.momentum, epsilon=layer.epsilon, name=layer.name
                )
            case keras_layers.Dropout() | keras_layers.ChannelDropout():
                return keras.layers.Identity(name=layer.name)
            case keras.layers.Activation() if layer.activation is keras_model.gelu:
                return keras.layers.Activation("gelu", name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=own)
    for layer in copy.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy
