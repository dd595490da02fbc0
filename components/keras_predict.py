"""Predicts splits with a Keras model: `python -m components.keras_predict ARGS.json`.

Twin of `torch_predict.py`.
"""

import keras
import numpy as np

from components import keras_model
from components.arrays import ImageArrays, Split
from components.training import PredictArgs, open_split, run, save_predictions

BATCH = 250


def main(args: PredictArgs) -> None:
    """Writes the npz files that `args.outputs` names."""
    arrays, model = ImageArrays(args.arrays), keras_model.load(args.model_dir)
    for name, output in args.outputs.items():
        split = open_split(arrays, name)
        save_predictions(output, predict(model, split), split.labels)


def predict(model: keras.Model, split: Split) -> np.ndarray:
    """Probabilities float32 (N, classes) of a network that gives logits, in the split's order."""
    found = []
    for images, _ in split.batches(BATCH):
        logits = model(images.astype(np.float32), training=False)
        found.append(keras.ops.convert_to_numpy(keras.ops.softmax(logits)))
    return np.concatenate(found)


if __name__ == "__main__":
    run("components.keras_predict", PredictArgs, main)
