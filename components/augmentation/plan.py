"""The augmentation plan as trainers read it, see augment.py, which writes it."""

import json
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from components.augmentation.policy import Policy
from components.data.arrays import ImageArrays, Split, open_split

COPIES = "copies"
"""Folder with each framework's augmented copies."""


def read_policy(plan: Path, framework: str) -> Policy:
    """The framework's list of operations in `policy.json`. Raises ValueError if it is not one."""
    path = plan / "policy.json"
    try:
        return TypeAdapter(Policy).validate_python(json.loads(path.read_text())[framework])
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; run the augment step.") from error
    except (KeyError, json.JSONDecodeError, ValidationError) as error:
        raise ValueError(f"{path} holds no valid policy for {framework}: {error!r}.") from error


def training_split(arrays: ImageArrays, plan: Path, framework: str) -> tuple[Split, int]:
    """The training split with the framework's augmented copies behind it, if there are any, and how
    many rows are not copies; `index.npy` counts through both. Raises ValueError when empty."""
    originals = len(open_split(arrays, "train"))
    return arrays.split("train", plan / COPIES / framework), originals


def read_class_weights(plan: Path, classes: int) -> np.ndarray:
    """float32 (classes,): the factors of the training loss, from `class_weights.npy`.

    A batch's loss is the mean over its images of weight x cross-entropy, not divided by the sum of
    the weights. Raises ValueError when they are missing or do not fit.
    """
    path = plan / "class_weights.npy"
    try:
        weights = np.load(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error}; run the augment step.") from error
    if weights.shape != (classes,) or not (weights > 0).all():
        raise ValueError(
            f"{path} has shape {weights.shape}, expected a positive weight for each of {classes} "
            "classes: it belongs to other arrays; run the augment step again."
        )
    return weights.astype(np.float32)


def read_index(plan: Path, rows: int) -> np.ndarray:
    """int64 (N,): the rows of `training_split` (`rows` long) to train on, from `index.npy`.

    A row may occur several times. Raises ValueError when it is missing or does not fit the split.
    """
    path = plan / "index.npy"
    try:
        index = np.load(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error}; run the augment step.") from error
    if index.ndim != 1 or not len(index) or index.min() < 0 or index.max() >= rows:
        raise ValueError(
            f"{path} has shape {index.shape}, expected at least one row number from 0 to {rows - 1}"
            ": it belongs to other arrays; run the augment step again."
        )
    return index.astype(np.int64)
