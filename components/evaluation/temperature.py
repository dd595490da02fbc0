"""Temperature scaling: one number, fitted on val, that makes confidences as high as accuracy is.

Logits are divided by it before the softmax, which changes no answer, only how sure it is
(Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks",
arXiv:1706.04599, section 4.2). Logarithms of probabilities do for logits: they differ by a
constant, which the softmax takes away. The frameworks' own are `probabilities` in
`components/networks/{keras,torch}_model.py`.
"""

import json
from pathlib import Path

import numpy as np

from components.networks.description import SMALLEST_PROBABILITY

FILE = "calibration.json"
"""Beside a model's predictions: the temperature, and what it did."""

LEAST_IMAGES = 50
"""Below it a handful of mistakes would decide how sure every answer is."""
LIMITS = 0.1, 10.0


def fit(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest mean negative log likelihood.

    `probabilities` float (N, classes) without scaling, `labels` int (N,), both of val. Raises
    ValueError when they cannot tell: too few images, NaN, or hardly a mistake among them.
    """
    if len(labels) < LEAST_IMAGES:
        raise ValueError(
            f"val has {len(labels)} images, expected at least {LEAST_IMAGES} to fit a temperature "
            "on: raise data.val_fraction or add images."
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("val's probabilities hold NaN, expected finite ones.")
    from scipy import optimize  # a second of import, for all who only apply what was fitted

    found = optimize.minimize_scalar(
        lambda log: negative_log_likelihood(probabilities, labels, float(np.exp(log))),
        bounds=tuple(np.log(LIMITS)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.exp(found.x))
    if not LIMITS[0] * 1.01 < temperature < LIMITS[1] / 1.01:
        right = int((probabilities.argmax(axis=1) == labels).sum())
        raise ValueError(
            f"val has {right} right answers of {len(labels)}, which no temperature between "
            f"{LIMITS[0]:g} and {LIMITS[1]:g} fits best: nothing can be learned from them of how "
            "sure answers should be."
        )
    return temperature


def negative_log_likelihood(
    probabilities: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean of -log p(label), natural logarithm, at that temperature."""
    logits = _logs(probabilities) / temperature
    of_label = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - of_label))


def apply(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """float32 (N, classes): softmax(log p / temperature), and `probabilities` themselves at 1."""
    if temperature == 1:
        return probabilities.astype(np.float32)
    logits = _logs(probabilities) / temperature
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def load(predictions: str | Path) -> float:
    """The temperature of the model whose predictions lie in that directory; 1.0, which is none,
    where nothing was written of it."""
    path = Path(predictions) / FILE
    return float(json.loads(path.read_text())["temperature"]) if path.is_file() else 1.0


def _logs(probabilities: np.ndarray) -> np.ndarray:
    """float64; zeros count as they do in the frameworks."""
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY, dtype=np.float64))
