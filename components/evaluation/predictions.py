"""A model's predictions of splits: what is asked for, and the file they are in."""

from pathlib import Path

import numpy as np

from components.base import atomic
from components.base.commands import Arguments


class PredictArgs(Arguments):
    """Arguments of `keras_predict` and `torch_predict`."""

    model_dir: Path
    arrays: Path
    outputs: dict[str, Path]
    """For each split to predict an npz file: `probabilities` float32 (N, classes) and `labels`
    int64 (N,), in the split's order."""


def save_predictions(path: Path, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Writes the npz of one of `PredictArgs.outputs`, whole or not at all."""
    with atomic.replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            probabilities=probabilities.astype(np.float32),
            labels=labels.astype(np.int64),
        )


def load_predictions(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities float32 (N, classes), labels int64 (N,)) as a predictor wrote them."""
    with np.load(path) as stored:
        return stored["probabilities"], stored["labels"]
