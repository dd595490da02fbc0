"""The usual Keras tutorial on CIFAR-10: `python -m benchmarks.tutorial_keras --images 6400`.

Float arrays in memory, augmentation layers in front of the network, `model.fit` with Adam, plateaus
and early stopping, float32. It is what `python -m benchmarks train` compares with, so it stays as
plain as that.
"""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.tutorial import BATCH, LEARNING_RATE, load, parse, report


def augmentation() -> list[layers.Layer]:
    return [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
        layers.RandomTranslation(0.1, 0.1),
    ]


def cifar10() -> list[layers.Layer]:
    """32-32-64-64-128, convolution-ReLU-batch norm."""

    def block(filters: int) -> tuple[layers.Layer, ...]:
        convolution = layers.Conv2D(filters, 3, padding="same", activation="relu")
        return convolution, layers.BatchNormalization()

    return [
        *block(32), *block(32), layers.MaxPooling2D(), layers.Dropout(0.25),
        *block(64), *block(64), layers.MaxPooling2D(), layers.Dropout(0.25),
        *block(128), layers.GlobalAveragePooling2D(),
        layers.Dense(128, activation="relu"), layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]  # fmt: skip


def cifar10_small() -> list[layers.Layer]:
    """32-32-64-64, convolution-batch norm-ReLU, channel dropout."""

    def block(filters: int) -> tuple[layers.Layer, ...]:
        convolution = layers.Conv2D(filters, 3, padding="same")
        return convolution, layers.BatchNormalization(), layers.ReLU()

    return [
        *block(32), *block(32), layers.MaxPooling2D(), layers.SpatialDropout2D(0.25),
        *block(64), *block(64), layers.MaxPooling2D(), layers.SpatialDropout2D(0.25),
        layers.GlobalAveragePooling2D(),
        layers.Dense(128, activation="relu"), layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]  # fmt: skip


NETWORKS = {"cifar10": cifar10, "cifar10_small": cifar10_small}


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch, whole and without its validation. It looks at no batch: that would
    cost time of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.training: list[float] = []
        self.epochs: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.training.append(time.perf_counter() - self._start)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epochs.append(time.perf_counter() - self._start)


def main() -> None:
    arguments = parse(__doc__)
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    x, y = as_floats(*load(arguments.arrays, "train", arguments.images))
    x_val, y_val = as_floats(*load(arguments.arrays, "val", max(1, arguments.images // 10)))
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), *augmentation(), *NETWORKS[arguments.network]()]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)  # the first step traces the graph
    clock = Clock()
    model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=arguments.epochs,
        validation_data=(x_val, y_val),
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=5),
            keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True),
            clock,
        ],
        verbose=2,
    )
    accuracy = None
    if arguments.evaluate:
        accuracy = model.evaluate(*as_floats(*load(arguments.arrays, "test")), verbose=0)[1]
    report(len(x) * len(clock.training), sum(clock.training), clock.epochs, accuracy)


def as_floats(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images.astype(np.float32) / 255, labels


if __name__ == "__main__":
    main()
