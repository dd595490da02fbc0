"""Predicts splits with a Keras model: `python -m components.evaluation.keras_predict ARGS.json`.

Twin of `torch_predict.py`.
"""

import keras
import numpy as np

from components.base.commands import run
from components.data.arrays import ImageArrays, Split, open_split
from components.evaluation.predictions import PredictArgs, save_predictions
from components.networks import keras_model
from components.networks.custom_network import AnyArchitecture
from components.networks.keras_model import probabilities
from components.networks.network import Network

AT_A_TIME = 250


def main(args: PredictArgs) -> None:
    """Writes the npz files that `args.outputs` names."""
    arrays, model = ImageArrays(args.arrays), keras_model.load(args.model_dir)
    architecture = Network.load(args.model_dir).architecture
    for name, output in args.outputs.items():
        split = open_split(arrays, name)
        save_predictions(output, predict(model, architecture, split), split.labels)


def predict(model: keras.Model, architecture: AnyArchitecture, split: Split) -> np.ndarray:
    """Probabilities float32 (N, classes) of a network of `architecture`, in the split's order."""
    found = []
    for images, _ in split.batches(AT_A_TIME):
        outputs = model(images.astype(np.float32), training=False)
        found.append(keras.ops.convert_to_numpy(probabilities(outputs, architecture)))
    return np.concatenate(found)


if __name__ == "__main__":
    run("components.evaluation.keras_predict", PredictArgs, main)
