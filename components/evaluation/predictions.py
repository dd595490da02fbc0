"""A model's predictions of splits: what is asked for, and the files they are in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.base import atomic
from components.base.commands import Arguments
from components.data.arrays import ImageArrays, Split, open_split
from components.evaluation import temperature
from components.evaluation.calibration import calibration_error
from components.sources.source import SPLITS


class PredictArgs(Arguments):
    """Arguments of `keras_predict` and `torch_predict`."""

    model_dir: Path
    arrays: Path
    outputs: dict[str, Path]
    """For each split to predict an npz file: `probabilities` float32 (N, classes) and `labels`
    int64 (N,), in the split's order."""
    corrupted: Path | None = None
    """ImageArrays whose splits may be asked for as well, see `corruptions.py`."""
    calibration: Path | None = None
    """Where to write how well calibrated `test` is; `outputs` then needs `val` too."""
    temperature_scaling: bool = False
    """Whether the probabilities are those at the temperature that fits `val` best."""


def splits(args: PredictArgs) -> dict[str, Split]:
    """Those that `args.outputs` names. Raises ValueError when one holds no images."""
    own = ImageArrays(args.arrays)
    corrupted = ImageArrays(args.corrupted) if args.corrupted else own
    return {name: open_split(own if name in SPLITS else corrupted, name) for name in args.outputs}


Probabilities = Callable[[str, float], np.ndarray]
"""A split's probabilities float32 (N, classes) at a temperature, by the names of `outputs`."""


def write(args: PredictArgs, probabilities: Probabilities, labels: dict[str, np.ndarray]) -> None:
    """Writes the files that `args` name."""
    scale = 1.0
    if args.calibration is not None:
        found = calibrated(probabilities, labels, args.temperature_scaling)
        scale = found["temperature"]
        atomic.write(args.calibration, json.dumps(found, indent=1) + "\n")
    for name, path in args.outputs.items():
        save_predictions(path, probabilities(name, scale), labels[name])


def calibrated(
    probabilities: Probabilities, labels: dict[str, np.ndarray], scaling: bool
) -> dict[str, Any]:
    """What `calibration.json` holds: the temperature (1.0 is none, and `reason` says why), what
    it did to val's negative log likelihood, and test's calibration error before and after."""
    scale, reason = 1.0, None
    plain = probabilities("val", 1.0)
    if scaling:
        try:
            scale = temperature.fit(plain, labels["val"])
        except ValueError as unfit:
            reason = str(unfit)
    else:
        reason = "evaluate.temperature_scaling is false"
    error, bins = calibration_error(probabilities("test", scale), labels["test"])
    before, _ = calibration_error(probabilities("test", 1.0), labels["test"])
    return {
        "temperature": scale,
        "reason": reason,
        "val_images": len(labels["val"]),
        "val_loss": temperature.negative_log_likelihood(plain, labels["val"], scale),
        "val_loss_before": temperature.negative_log_likelihood(plain, labels["val"]),
        "error": error,
        "error_before": before,
        "bins": bins,
    }


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


def predicted(arrays: ImageArrays, name: str, path: Path) -> tuple[Split, np.ndarray]:
    """A split and its probabilities float32 (N, classes) out of the npz at `path`.

    Raises ValueError when the split is empty or the predictions are not its own.
    """
    split = arrays.split(name)
    probabilities, labels = load_predictions(path)
    if not len(split) or not np.array_equal(labels, split.labels):
        raise ValueError(
            f"{path} holds {len(labels)} predictions that are not those of the split {name} "
            f"({len(split)} images): predict it again."
        )
    return split, probabilities


def named_rightly(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images the most probable class is right for, bool (N,). A network that gives NaN names
    no class, though argmax takes the first."""
    right = probabilities.argmax(axis=1) == labels
    return right & np.isfinite(probabilities).all(axis=1)
