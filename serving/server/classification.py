"""The classification extension: the most probable classes as text."""

import numpy as np

from serving.inference.model import Model

MOST_CLASSES = 999_999
"""That may be asked for; of a model that has fewer, all are named."""


def strings(model: Model, probabilities: np.ndarray, count: int) -> list[list[str]]:
    """Of each row of `probabilities` the `count` most probable classes, "value:index:label"."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        [f"{row[index]:f}:{index}:{model.labels[index]}" for index in best]
        for row, best in zip(probabilities.tolist(), order.tolist())
    ]


def labelled(model: Model, probabilities: np.ndarray, count: int) -> list[list[dict]]:
    """The same as {"label", "index", "probability"}."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        [
            {"label": model.labels[index], "index": index, "probability": row[index]}
            for index in best
        ]
        for row, best in zip(probabilities.tolist(), order.tolist())
    ]
