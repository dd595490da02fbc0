"""Whether an image may be mirrored: not where that makes it look like one of another class.

A linear classifier is cross-validated on a sample of thumbnails. What it recognises, it must still
recognise in the mirror: left arrows, the letter b and most digits are another thing there, or none.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable

import numpy as np

SIDE = 32
_FOLDS, _CELLS, _BINS = 5, 8, 8
_RIDGE = 0.1  # of the mean of the Gram matrix's diagonal
_TOLD, _LOSS = 0.6, 0.3
"""Share of the sample that must be recognised for its forms to say anything, and share of these
that is too much to be lost in the mirror. It must also be more than chance, see `SIGNIFICANCE`."""
SIGNIFICANCE = 0.001


@dataclasses.dataclass(frozen=True)
class Mirrored:
    """Images of a sample that were recognised as found, and of those in the mirror.

    `into` names the classes, (own, that it is taken for), that most of the others get in the
    mirror, None where all are recognised.
    """

    images: int
    recognised: int
    mirrored: int
    harmful: bool
    into: tuple[int, int] | None


def look_in_the_mirror(thumbnails: np.ndarray, labels: np.ndarray) -> Mirrored:
    """uint8 (N, SIDE, SIDE) grey thumbnails and their classes, int (N,); of fewer than `_FOLDS`
    images nothing is recognised."""
    if len(labels) < _FOLDS:
        return Mirrored(len(labels), 0, 0, harmful=False, into=None)
    features, turned = (_features(t) for t in (thumbnails, thumbnails[:, :, ::-1]))
    folds = _folds(labels)
    given, seen = (np.empty(len(labels), np.int64) for _ in range(2))
    for fold in range(_FOLDS):
        out = folds == fold
        predict = _fitted(features[~out], labels[~out])
        given[out], seen[out] = predict(features[out]), predict(turned[out])
    right, still = given == labels, seen == labels
    lost, won = int((right & ~still).sum()), int((~right & still).sum())
    # The sign test: by chance alone as many would be lost as won.
    tail = sum(math.comb(lost + won, n) for n in range(lost, lost + won + 1))
    chance = tail / 2 ** (lost + won)
    confused = Counter(zip(labels[right & ~still].tolist(), seen[right & ~still].tolist()))
    told = right.sum() >= _TOLD * len(labels)
    return Mirrored(
        images=len(labels),
        recognised=int(right.sum()),
        mirrored=int(still.sum()),
        harmful=bool(told and chance < SIGNIFICANCE and lost - won > _LOSS * right.sum()),
        into=min(confused, key=lambda pair: (-confused[pair], pair)) if confused else None,
    )


def _folds(labels: np.ndarray) -> np.ndarray:
    """The fold of each image: those of each class are dealt out in turn."""
    order = np.argsort(labels, kind="stable")
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    return folds


def _features(thumbnails: np.ndarray) -> np.ndarray:
    """float32 (N, D): grey levels of 8 x 8 cells, and histograms of oriented gradients over them
    (N. Dalal and B. Triggs, 2005), each part scaled to length 1."""
    grey = thumbnails.astype(np.float32) / 255
    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, across)
    turn = (np.arctan2(down, across) / (2 * np.pi) + 1) * _BINS
    low = np.floor(turn).astype(np.int64)
    share = turn - low
    maps = np.zeros((_BINS, *grey.shape), np.float32)
    for bin_ in range(_BINS):
        maps[bin_] = strength * (1 - share) * (low % _BINS == bin_)
        maps[bin_] += strength * share * ((low + 1) % _BINS == bin_)
    parts = [_cells(grey), np.sqrt(np.concatenate([_cells(part) for part in maps], axis=1))]
    return np.concatenate([_unit(part) for part in parts], axis=1)


def _cells(images: np.ndarray) -> np.ndarray:
    n, step = len(images), SIDE // _CELLS
    return images.reshape(n, _CELLS, step, _CELLS, step).mean((2, 4)).reshape(n, -1)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _fitted(features: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Ridge regression onto one column per class, in its dual form as there are few images."""
    mean = features.mean(0)
    inner = (features - mean) @ (features - mean).T
    ridge = _RIDGE * np.trace(inner) / len(inner) + 1e-6
    classes = np.unique(labels)
    targets = (labels[:, None] == classes).astype(np.float32)
    targets -= targets.mean(0)
    weights = (features - mean).T @ np.linalg.solve(inner + ridge * np.eye(len(inner)), targets)
    return lambda rows: classes[np.argmax((rows - mean) @ weights, axis=1)]
