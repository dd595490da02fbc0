"""The baselines of the change gate: releases measured on this run's test split.

These are the current release and the best ever released. To run them all would take longer with
each, so the best are looked for by the accuracies in their manifests, those of all releases and
those of the last twenty, and of these two the one that is better today counts.
"""

import dataclasses
import math

import numpy as np

from components.data.arrays import ImageArrays
from components.gates.accuracy_gates import images_of
from components.gates.comparison import Comparison
from components.gates.result import number
from serving.contract.release_files import FORMATS
from serving.inference.errors import NotServable
from serving.inference.onnx_runtime import open_session
from serving.store.release import Release, StoreError

RECENT = 20
"""An easy test split of long ago must not hide the best of those that came after it."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A release on the test split: `right` bool (N,), or None with the `reason` why it could not
    be run there."""

    release: Release
    right: np.ndarray | None
    reason: str = ""


def compare(
    line: list[Release], arrays: ImageArrays, answers: dict[str, np.ndarray], since: int = 1
) -> dict[str, list[Comparison]]:
    """What each new model is compared with: the last release of `line`, which is current, and the
    best of those from version `since` on where that is another.

    `answers` says by framework which test images the new model names rightly, bool (N,). Empty
    lists without a release. Raises StoreError when the current one's manifest cannot be read.
    """
    if not line:
        return {framework: [] for framework in answers}
    references = [("current", measure(line[-1], arrays), 1)]
    if best := _best(line, arrays, since, references[0][1]):
        references.append(("best", *best))
    return {
        framework: [_comparison(kind, old, new, among) for kind, old, among in references]
        for framework, new in answers.items()
    }


def measure(release: Release, arrays: ImageArrays) -> Measured:
    """Runs the release's ONNX file on `arrays`' test split (uint8 images, CPU).

    A release with another image size or other classes cannot run on these images, and one whose
    files are damaged must not.
    """
    if not _fits(release, arrays):
        return Measured(release, None, "on its own data")
    try:
        release.verify()
        session = open_session(FORMATS["onnx"].in_release(release.path), gpu=False)
    except StoreError:
        return Measured(release, None, "as its files are damaged")
    except NotServable:
        return Measured(release, None, "as its ONNX file cannot be run")
    test = arrays.split("test")
    right = [
        session.run(["probabilities"], {"image": images})[0].argmax(axis=1) == labels
        for images, labels in test.batches(256)
    ]
    return Measured(release, np.concatenate(right))


def _fits(release: Release, arrays: ImageArrays) -> bool:
    contract = release.contract()
    same_shape = tuple(contract["input"]["shape"][1:]) == arrays.spec.shape
    return same_shape and contract["labels"] == arrays.labels


def _best(
    line: list[Release], arrays: ImageArrays, since: int, current: Measured
) -> tuple[Measured, int] | None:
    """The best release on the test split and the number that it was chosen from, or None where
    that is the current one, or no other can be run."""
    candidates = []
    for release in line:
        try:
            if release.version >= since and _fits(release, arrays):
                candidates.append((_released(release)[0], release.version, release))
        except (StoreError, KeyError):  # a release of which so little is left is no candidate
            continue
    found = [current]
    for some in (candidates, candidates[-RECENT:]):
        # Of equals the newest.
        for _, version, release in sorted(some, key=lambda row: row[:2], reverse=True):
            known = [one for one in found if one.release.version == version]
            one = known[0] if known else measure(release, arrays)
            if one.right is not None:
                found += [] if known else [one]
                break
    runnable = [one for one in found if one.right is not None]
    best = max(runnable, key=_accuracy, default=current)
    return None if best is current else (best, len(candidates))


def _accuracy(measured: Measured) -> float:
    return math.nan if measured.right is None else float(np.mean(measured.right))


def _released(release: Release) -> tuple[float, int | None]:
    """The accuracy that the manifest names, and on how many images, where it says so."""
    metrics = release.manifest()["metrics"]
    return number(metrics["accuracy"]), images_of(metrics) or None


def _comparison(kind: str, old: Measured, new: np.ndarray, among: int) -> Comparison:
    version = old.release.version
    if old.right is None:
        accuracy, images = _released(old.release)
        source = f"by its manifest, {old.reason}"
        return Comparison(version, kind, accuracy, source, images, among=among)
    try:
        before, before_images = _released(old.release)
    except (StoreError, KeyError):
        before, before_images = None, None
    return Comparison(
        version,
        kind,
        accuracy=_accuracy(old),
        source="on the same test images",
        images=len(old.right),
        only_new_right=int((new & ~old.right).sum()),
        only_old_right=int((~new & old.right).sum()),
        among=among,
        released_accuracy=before,
        released_images=before_images,
    )
