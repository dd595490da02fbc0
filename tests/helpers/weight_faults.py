"""Silent faults in the numbers of an exported file, whatever its format."""

from collections.abc import Callable

import numpy as np

from tests.helpers import artifact_files
from tests.helpers.fault_site import Rng, Site


def classes_swapped(site: Site, rng: Rng) -> str:
    """The last layer's, kernel and bias; the labels stay where they are."""
    one, two = rng.choice(site.classes, 2, replace=False)
    order = np.arange(site.classes)
    order[[one, two]] = two, one

    def swapped(name: str, array: np.ndarray) -> np.ndarray | None:
        axis = artifact_files.class_axis(array, site.classes)
        return None if axis is None else np.take(array, order, axis)

    return f"classes {one} and {two} swapped in {site.change(swapped)} arrays of the last layer"


def biases_swapped(site: Site, rng: Rng) -> str:
    def swapped(name: str, array: np.ndarray) -> np.ndarray | None:
        if array.shape != (site.classes,):
            return None
        order = np.arange(site.classes)
        ends = [array.argmin(), array.argmax()]
        order[ends] = ends[::-1]
        return array[order]

    site.change(swapped)
    return "the largest and the smallest bias of the last layer swapped"


def _kernels(site: Site) -> list[str]:
    held = artifact_files.read(site.artifact, site.path)
    return [k for k, v in held.items() if v.ndim in (2, 4) and v.size > site.classes]


def layer_zeroed(site: Site, rng: Rng) -> str:
    chosen = str(rng.choice(_kernels(site)))
    site.change(lambda name, array: np.zeros_like(array) if name == chosen else None)
    return f"{chosen} set to zero"


def weight_changed(site: Site, rng: Rng) -> str:
    chosen = str(rng.choice(_kernels(site)))

    def changed(name: str, array: np.ndarray) -> np.ndarray | None:
        if name != chosen:
            return None
        array = array.copy()
        array.flat[rng.integers(array.size)] += 10 * array.std()
        return array

    site.change(changed)
    return f"one weight of {chosen} changed by ten standard deviations"


def channels_transposed(site: Site, rng: Rng) -> str:
    axis = artifact_files.channel_axis(site.artifact)

    def transposed(name: str, array: np.ndarray) -> np.ndarray | None:
        # The normalisation's constants may have four axes too.
        first = array.ndim == 4 and array.shape[axis] == 3 and array.size > 3
        return np.flip(array, axis).copy() if first else None

    site.change(transposed)
    return "the first convolution takes BGR"


def saturated(site: Site, rng: Rng) -> str:
    chosen = str(rng.choice(_kernels(site)))

    def saturated(name: str, array: np.ndarray) -> np.ndarray | None:
        if name != chosen:
            return None
        return (np.sign(array) * np.finfo(np.float16).max).astype(array.dtype)

    site.change(saturated)
    return f"{chosen} saturated at float16's largest number"


def scale_changed(site: Site, rng: Rng) -> str:
    """As if calibrated on darker images: what is above a part of each range is cut off."""
    part = int(rng.integers(8, 33))

    def changed(name: str, array: np.ndarray) -> np.ndarray | None:
        return array / np.float32(part) if name.endswith("_scale") and array.size == 1 else None

    return f"{site.change(changed)} ranges of activations divided by {part}"


def _scaled_logits(site: Site, factor: float) -> None:
    def scaled(name: str, array: np.ndarray) -> np.ndarray | None:
        last = artifact_files.class_axis(array, site.classes) is not None
        return array * np.float32(factor) if last else None

    site.change(scaled)


def temperature(twice: bool) -> Callable[[Site, Rng], str]:
    def spoil(site: Site, rng: Rng) -> str:
        temperature = site.made.contract["temperature"]
        _scaled_logits(site, 1 / temperature if twice else temperature)
        return f"temperature {temperature} {'applied twice' if twice else 'not applied'}"

    return spoil
