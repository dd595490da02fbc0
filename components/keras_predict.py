"""Predicts splits with a Keras model: `python -m components.keras_predict ARGS.json`.

Twin of `torch_predict.py`.
"""

import keras
import numpy as np

from components import keras_model
from components.arrays import ImageArrays, Split
from components.commands import run
from components.keras_model import probabilities
from components.network import Network
from components.own_network import AnyArchitecture
from components.plan import open_split
from components.training import PredictArgs, save_predictions

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
    run("components.keras_predict", PredictArgs, main)
