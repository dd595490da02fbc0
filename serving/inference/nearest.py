"""The images whose features point most nearly the same way as others'."""

import numpy as np

_AT_A_TIME = 4096


def nearest(queries: np.ndarray, features: np.ndarray, count: int) -> np.ndarray:
    """int64 (M, count): for each of `queries` float32 (M, F) the rows of `features` (N, F), of any
    type of number, with the largest cosine of the angle between, the nearest first; fewer where N
    is less.

    `features` may be memory-mapped: it is read in parts.
    """
    queries = unit(queries)
    count = min(count, len(features))
    cosines: np.ndarray = np.empty((len(queries), 0), np.float32)
    rows: np.ndarray = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(features), _AT_A_TIME):
        part = unit(features[start : start + _AT_A_TIME])
        more = np.broadcast_to(np.arange(start, start + len(part)), (len(queries), len(part)))
        cosines = np.concatenate([cosines, queries @ part.T], axis=1)
        rows = np.concatenate([rows, more], axis=1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        cosines, rows = (np.take_along_axis(of, best, axis=1) for of in (cosines, rows))
    return rows


def unit(features: np.ndarray) -> np.ndarray:
    """float32: each row divided by its length."""
    features = np.asarray(features, np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float32).tiny)
