"""Images that no training step learned from, with the source model's own answers. Framework-free.

A predictions directory holds `test.npz` and `val.npz` as
`components/evaluation/predictions.py` describes them.
The split val only chose the epoch to keep: good enough to compare an artifact with its source.
"""

from pathlib import Path

import numpy as np

from components.data.arrays import ImageArrays, Split, evenly

# In the order in which they are drawn on.
SPLITS = ("test", "val")


def load(arrays: ImageArrays, predictions: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` held-out images, uint8 (n, H, W, C), and their probabilities float32 (n, classes).

    They are spread evenly over the split test; where that has fewer, all of it is taken and the
    rest from the split val, and all there are when both together have fewer than `count`.

    Raises ValueError when the predictions are not those of these splits, or when there are none.
    """
    images: list[np.ndarray] = []
    probabilities: list[np.ndarray] = []
    for name in SPLITS:
        missing = count - sum(map(len, images))
        if not missing or not len(arrays.split(name)):
            continue
        split, answers = predicted(arrays, name, predictions / f"{name}.npz")
        rows = evenly(len(split), missing)
        images.append(split.images(rows))
        probabilities.append(answers[rows])
    if not images:
        raise ValueError(f"the splits {' and '.join(SPLITS)} are empty: nothing to compare with.")
    return np.concatenate(images), np.concatenate(probabilities)


def predicted(arrays: ImageArrays, name: str, path: Path) -> tuple[Split, np.ndarray]:
    """A split and its probabilities float32 (N, classes) out of the npz at `path`.

    Raises ValueError when the split is empty or the predictions are not its own.
    """
    split = arrays.split(name)
    with np.load(path) as stored:
        probabilities, labels = stored["probabilities"], stored["labels"]
    if not len(split) or not np.array_equal(labels, split.labels):
        raise ValueError(
            f"{path} holds {len(labels)} predictions that are not those of the split {name} "
            f"({len(split)} images): predict it again."
        )
    return split, probabilities
