"""Recipes, a tiny network and batches for the tests of both frameworks' learners."""

import numpy as np

from components.augmentation.policy import Flip, Translate
from components.networks.description import Architecture
from components.networks.layers import (
    Activation,
    BatchNorm,
    ChannelDropout,
    Conv,
    Dense,
    Dropout,
    GlobalAveragePool,
    MaxPool,
)
from components.networks.network import Network
from components.training.config import TrainConfig
from tests.helpers.training_data import LABELS, SPECS, digit_images

BATCH = 16
POLICY = (Translate(fraction=0.1), Flip())

RECIPES = {
    name: TrainConfig(epochs=1, batch_size=BATCH, precision="float32", **fields)
    for name, fields in {
        "adam": {"learning_rate": 1e-2, "l1": 1e-4, "label_smoothing": 0.1},
        "adamw": {
            "optimizer": "adamw", "learning_rate": 1e-2, "weight_decay": 0.5, "averaging": 0.8,
        },
        "sgd": {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 0.1},
        "sgd without momentum": {
            "optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.2, "l2": 1e-2,
        },
        "muon": {
            "optimizer": "muon", "learning_rate": 0.02, "weight_decay": 0.1,
            "progressive_resizing": 0.5,
        },
    }.items()
}  # fmt: skip


def network(framework: str, random: bool) -> Network:
    """Two convolutions and a dense layer; `random` ones with both kinds of dropout.

    Convolutions before a batch norm have no bias: its gradient would be rounding noise alone, and
    Adam would make steps of full size of it.
    """
    drop = (ChannelDropout(rate=0.1), Dropout(rate=0.3)) if random else ()
    layers = (
        Conv(filters=6, bias=False), BatchNorm(), Activation(), *drop[:1], MaxPool(kernel=2),
        Conv(filters=8, stride=2), Activation(), GlobalAveragePool(), *drop[1:], Dense(units=10),
    )  # fmt: skip
    return Network(framework, Architecture(name="tiny", layers=layers), SPECS["digits"], LABELS)


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (16, 8, 8, 1) and labels int64 (16,) of a step, and a validation's at -1."""
    images, labels = digit_images(40 * BATCH)
    rows = slice(step * BATCH, (step + 1) * BATCH) if step >= 0 else slice(-100, None)
    return images[rows], labels[rows]


def rate(config: TrainConfig, step: int) -> float:
    """A learning rate that changes at every step, as schedules' do."""
    return config.learning_rate / (1 + 0.3 * step)


def scale(config: TrainConfig, step: int) -> float:
    """Small images in the first steps of recipes that ask for them, then whole ones."""
    return config.progressive_resizing if step < 4 else 1.0


def plain(classes: int) -> Architecture:
    """Without batch norm and dropout: several devices learn exactly what one does."""
    layers = (
        Conv(filters=6), Activation(), MaxPool(kernel=2), Conv(filters=8, stride=2), Activation(),
        GlobalAveragePool(), Dense(units=classes),
    )  # fmt: skip
    return Architecture(name="plain", layers=layers)


def normalised(classes: int) -> Architecture:
    """With batch norm, whose statistics several devices share in Keras alone."""
    layers = (
        Conv(filters=6, bias=False), BatchNorm(), Activation(), GlobalAveragePool(),
        Dense(units=classes),
    )  # fmt: skip
    return Architecture(name="normalised", layers=layers)


def enormous(classes: int) -> Architecture:
    """With 144 MB of zeros around each 8x8 image.

    Where TensorFlow's convolutions on CPUs (oneDNN) find no memory they crash; padding does not.
    """
    layers = (
        Conv(filters=1, kernel=3000, padding="full"),
        GlobalAveragePool(),
        Dense(units=classes),
    )
    return Architecture(name="enormous", layers=layers)
