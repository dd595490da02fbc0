"""TFLite for phones: built-in operations only, any batch size, the contract and labels inside.

Of a network that is described by its layers, what can be computed ahead is (see folding.py).
"""

import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.networks.custom_network import CustomNetwork
from export.formats import folding, saved_model
from export.formats.inference import Inference
from export.formats.quantised_tflite import quantise
from export.formats.tflite_file import SIGNATURE, with_contract
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as a TFLite file.

    What is not float32 is made of that file where it lies beside it.
    """
    path = Path(path)
    if precision == "float32":
        content = _float32(model)
    else:
        beside = path.with_name(FORMATS["tflite"].file)
        source = beside.read_bytes() if beside.is_file() else _float32(model)
        images = model.calibration_images if precision == "int8" else None
        content = quantise(source, precision, images)
    path.write_bytes(with_contract(content, model.contract))
    return path


def _float32(model: TrainedModel) -> bytes:
    return converted(folded(model), model)


def folded(model: TrainedModel) -> Any:
    """The Keras model with as few operations as there can be; the user's own as it is."""
    if isinstance(model.network.architecture, CustomNetwork):
        return model.keras_model
    return folding.fold(model.network, model.weights)


def converted(keras_model: Any, model: TrainedModel) -> bytes:
    """A TFLite file of a Keras model that gives what `model` does."""
    module = Inference(keras_model, model.network.architecture, temperature=model.temperature)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        return _convert(saved_model.write(module, model.contract, Path(scratch, "it")))


def convert(directory: str | Path, contract: dict, path: str | Path) -> Path:
    """Converts a SavedModel's `serving_default` and writes the file.

    The input `image` is uint8 (N, H, W, C), the output `probabilities` float32 (N, classes), both
    by the signature runner and by tensor name. An operation without a built-in raises `tf.lite`'s
    ConverterError: Flex operations are not allowed.
    """
    path = Path(path)
    path.write_bytes(with_contract(_convert(directory), contract))
    return path


def _convert(directory: str | Path) -> bytes:
    # From a SavedModel, because the route over concrete functions leaves READ_VARIABLE operations.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()
