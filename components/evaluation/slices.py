"""Slices of the test split by what ingest measured of each image: how bright, how large."""

import numpy as np

BINS = 3
FEATURES = ("brightness", "size")


def feature_slices(features: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """For each of FEATURES that varies, the bin of each image in words, by which TFMA slices.

    `features` holds ingest's `mean` (0 to 1), `height` and `width` (pixels) of the source's images,
    each (N,). Brightness is in grey levels of 0 to 255, size in pixels, height times width.
    """
    brightness = np.round(255 * features["mean"]).astype(np.int64)
    size = features["height"].astype(np.int64) * features["width"].astype(np.int64)
    found = {name: bins(values) for name, values in zip(FEATURES, (brightness, size))}
    return {name: names for name, names in found.items() if len(set(names)) > 1}


def bins(values: np.ndarray) -> list[str]:
    """The bin of each value, `"12 to 87"` by the lowest and the highest value in it.

    Terciles, int (N,) to N names; equal values are in one bin, so that there may be fewer.
    """
    edges = np.quantile(values, np.arange(1, BINS) / BINS, method="lower")
    numbers = np.searchsorted(edges, values)
    names = {}
    for number in np.unique(numbers):
        inside = values[numbers == number]
        low, high = inside.min(), inside.max()
        names[number] = f"{low}" if low == high else f"{low} to {high}"
    return [names[number] for number in numbers]


def in_order(name: str) -> int:
    """A key that sorts the bins of one feature from low to high."""
    return int(name.partition(" ")[0])
