"""Every image through a frozen backbone, once; those that the run before had are looked up.

Framework-free: `torch_features.py` brings the backbone.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.augmentation.policy import Flip, Policy
from components.base import atomic
from components.base.commands import Arguments
from components.base.console import console, progress
from components.data.arrays import ImageArrays, Split
from components.features.feature_arrays import (
    DESCRIPTION,
    DRAWN,
    MIRRORED,
    PLAIN,
    SPEED,
    FeatureArrays,
)
from components.sources.source import SPLITS
from serving.contract.image_spec import ImageSpec

AT_A_TIME = 32
_SEED = 0


class FeatureArgs(Arguments):
    """Arguments of `torch_features`."""

    arrays: Path
    policy: Policy
    """What the training split's views follow from."""
    architecture: str
    """One with a pretrained backbone, of components/networks/architectures.py."""
    output: Path
    """Directory for the features, see feature_arrays.py."""
    before: Path | None = None
    """Features of an earlier run, of which those of the same pixels are taken over where they were
    made by the same backbone and code."""
    threads: int = 0
    code: str = ""


Backbone = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (n, H, W, C), n at most AT_A_TIME, to features float32 (n, features)."""


def extract(
    args: FeatureArgs,
    made_by: dict,
    size: int,
    backbone: Callable[[], Backbone],
    drawn: Callable[[np.ndarray, int], np.ndarray],
) -> None:
    """Writes the features of every split.

    `made_by` names the backbone and its weights, `size` is the number of features of an image.
    `backbone` is called once, and only where an image is new. `drawn` is the policy: from packed
    images and a seed to images of the network's size, uint8.
    """
    arrays = ImageArrays(args.arrays)
    views = views_of(args.policy, arrays.spec)
    made_by = made_by | {"image": arrays.spec.to_dict(), "code": args.code}
    del made_by["image"]["mean"], made_by["image"]["std"]  # they move with the images; unused
    known = _Known(args.before, made_by)
    work = {name: views if name == "train" else (PLAIN,) for name in SPLITS}
    splits = {name: arrays.split(name) for name in SPLITS}
    bar = progress(console())
    task = bar.add_task("features", total=sum(len(splits[n]) * len(work[n]) for n in work))
    network: Backbone | None = None
    seen, seconds = 0, 0.0
    with bar:
        for name, split in splits.items():
            folder = args.output / name
            folder.mkdir(parents=True)
            np.save(folder / "labels.npy", split.labels)
            keys = _keys(split)
            np.save(folder / "keys.npy", keys)
            for view in work[name]:
                found = np.lib.format.open_memmap(
                    folder / f"{view}.npy", "w+", np.float32, (len(split), size)
                )
                missing = known.fill(found, keys, view)
                bar.update(task, advance=len(split) - len(missing))
                for start in range(0, len(missing), AT_A_TIME):
                    rows = missing[start : start + AT_A_TIME]
                    network = network or backbone()
                    began = time.perf_counter()
                    found[rows] = network(_seen(split, rows, view, drawn))
                    seconds, seen = seconds + time.perf_counter() - began, seen + len(rows)
                    bar.update(task, advance=len(rows))
                found.flush()
    atomic.write(args.output / SPEED, json.dumps({"images": seen, "seconds": seconds}) + "\n")
    atomic.write(args.output / DESCRIPTION, json.dumps(made_by | {"views": views}, indent=1) + "\n")


def views_of(policy: Policy, spec: ImageSpec) -> tuple[str, ...]:
    """The views of the training split."""
    mirrored = (MIRRORED,) if any(isinstance(of, Flip) for of in policy) else ()
    changed = any(not isinstance(of, Flip) for of in policy) or spec.packed_shape != spec.shape
    return (PLAIN, *mirrored, *(DRAWN if changed else ()))


def _seen(split: Split, rows: np.ndarray, view: str, drawn: Callable) -> np.ndarray:
    """Images uint8 (n, H, W, C) of a view."""
    if view in DRAWN:
        return drawn(split.packed(rows), _SEED + int(rows[0]) * len(DRAWN) + DRAWN.index(view))
    images = split.images(rows)
    return np.ascontiguousarray(images[:, :, ::-1]) if view == MIRRORED else images


def _keys(split: Split) -> np.ndarray:
    """uint8 (N, 16): of each image's pixels."""
    keys = np.empty((len(split), 16), np.uint8)
    for row in range(len(split)):
        pixels = split.packed(np.array([row])).tobytes()
        digest = hashlib.blake2b(pixels, digest_size=keys.shape[1]).digest()
        keys[row] = np.frombuffer(digest, np.uint8)
    return keys


class _Known:
    """Features of an earlier run by the pixels that they are of."""

    def __init__(self, directory: Path | None, made_by: dict):
        self._places: dict[str, dict[bytes, tuple[np.ndarray, int]]] = {}
        if directory is None:
            return
        try:
            before = FeatureArrays(directory)
            if {k: v for k, v in before.description.items() if k != "views"} == made_by:
                self._read(before)
        except (OSError, ValueError):  # gone or torn: they are made again
            self._places = {}

    def _read(self, before: FeatureArrays) -> None:
        for name in SPLITS:
            keys = [key.tobytes() for key in np.load(before.directory / name / "keys.npy")]
            for view in (PLAIN, MIRRORED):
                path = before.directory / name / f"{view}.npy"
                if path.exists():
                    features = np.load(path, mmap_mode="r")
                    if len(features) != len(keys):
                        raise ValueError(f"{path} has {len(features)} rows, not {len(keys)}")
                    own = self._places.setdefault(view, {})
                    own.update({key: (features, row) for row, key in enumerate(keys)})

    def fill(self, features: np.ndarray, keys: np.ndarray, view: str) -> np.ndarray:
        """Copies what is known into `features`; returns the rows that are not, int64."""
        own, missing = self._places.get(view, {}), []
        for row, key in enumerate(keys):
            place = own.get(key.tobytes())
            if place is None:
                missing.append(row)
            else:
                features[row] = place[0][place[1]]
        return np.array(missing, np.int64)
