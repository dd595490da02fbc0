"""metrics.json as evaluation leaves it, from predictions, without TFMA."""

import numpy as np
from scipy import stats

from components.evaluation.calibration import calibration_error


def metrics_of(
    probabilities: np.ndarray, labels: np.ndarray, names: list[str] | None = None
) -> dict:
    """`probabilities` float (N, classes), `labels` int (N,)."""
    classes = probabilities.shape[1]
    names = names or [f"class-{number}" for number in range(classes)]
    answers = probabilities.argmax(axis=1)
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, answers), 1)
    right = int(matrix.trace())
    of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    interval = stats.binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    error, bins = calibration_error(probabilities, labels)
    return {
        "accuracy": right / len(labels),
        # Keras's, which clips probabilities.
        "loss": float(np.mean(-np.log(np.clip(of_label, 1e-7, 1)))),
        "images": len(labels),
        "interval": [float(interval.low), float(interval.high)],
        "confusion_matrix": matrix.tolist(),
        "per_class": {
            name: {
                "recall": _ratio(matrix[row, row], matrix[row].sum()),
                "precision": _ratio(matrix[row, row], matrix[:, row].sum()),
            }
            for row, name in enumerate(names)
        },
        "calibration": {"temperature": 1.0, "error": error, "error_before": error, "bins": bins},
    }


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def answering(answers: np.ndarray, classes: int, sure: float = 0.9) -> np.ndarray:
    """Probabilities (N, classes) of a model that is `sure` of its answers, int (N,)."""
    probabilities = np.full((len(answers), classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(len(answers)), answers] = sure
    return probabilities.astype(np.float32)
