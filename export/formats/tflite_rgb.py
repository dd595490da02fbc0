"""A grey model as TFLite that takes three channels, as on-device libraries hand images over:
MediaPipe's ImageClassifier refuses a depth of one.

Grey is made inside the graph as training images were made grey, to the last digit: an image in
colour is answered as the grey model answers what Pillow makes of it, and one whose channels are
equal as the grey model answers one of them.
"""

from pathlib import Path

import keras
import numpy as np

from components.networks.keras_layers import float32_policy
from export.formats import contract as contracts
from export.formats import tflite
from export.formats.tflite_file import with_contract
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS

_LUMA = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Pillow's, of ITU-R BT.601; exact in float32, and so are their products with whole numbers."""


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as float32 TFLite with `image` uint8 (N, H, W, 3).

    Raises ValueError for a model of RGB images, which has that form already.
    """
    del precision
    path = Path(path)
    contract = contracts.inside(model.contract, FORMATS["tflite_rgb"])
    with float32_policy():
        grey = _from_rgb(tflite.folded(model))
    path.write_bytes(with_contract(tflite.converted(grey, model), contract))
    return path


def _from_rgb(model: keras.Model) -> keras.Model:
    height, width, _ = model.input_shape[1:]
    image = keras.Input((height, width, 3), name=contracts.IMAGE, dtype="float32")
    grey = keras.ops.sum(image * np.array(_LUMA, np.float32), axis=-1, keepdims=True)
    grey = keras.ops.floor(grey + 0.5)
    return keras.Model(image, model(grey), name=model.name)
