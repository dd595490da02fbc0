"""Predicts splits with a Keras model: `python -m components.evaluation.keras_predict ARGS.json`.

Twin of `torch_predict.py`.
"""

import keras
import numpy as np
import tensorflow as tf

from components.base.commands import run
from components.data.arrays import Split
from components.evaluation.predictions import PredictArgs, splits, write
from components.networks import keras_model
from components.networks.network import Network

AT_A_TIME = 250


def main(args: PredictArgs) -> None:
    """Writes the files that `args` name."""
    model, asked = keras_model.load(args.model_dir), splits(args)
    architecture = Network.load(args.model_dir).architecture
    given = {name: outputs(model, split) for name, split in asked.items()}

    def probabilities(name: str, temperature: float) -> np.ndarray:
        found = keras_model.probabilities(given[name], architecture, temperature)
        return keras.ops.convert_to_numpy(found)

    write(args, probabilities, {name: split.labels for name, split in asked.items()})


def outputs(model: keras.Model, split: Split) -> np.ndarray:
    """What the network gives, float32 (N, units), in the split's order."""
    # Traced once, for batches of any size: called as it is, a network of many layers takes three
    # times as long, as each operation is started by itself.
    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    run = tf.function(lambda images: model(images, training=False), input_signature=[shape])
    batches = split.batches(AT_A_TIME)
    return np.concatenate([run(images.astype(np.float32)).numpy() for images, _ in batches])


if __name__ == "__main__":
    run("components.evaluation.keras_predict", PredictArgs, main)
