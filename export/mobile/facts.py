"""What of a release goes onto a device, read from the release once it is found to be intact."""

import dataclasses
import re
import reprlib
from pathlib import Path

import numpy as np

from export.verification.records import TOLERANCES
from serving.contract import contract_file
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import CONTRACT, FORMATS, GOLDEN, LABELS, MANIFEST, Format
from serving.inference.errors import NotServable
from serving.inference.golden import read_golden
from serving.store.release import Release, StoreError, verify_directory

FLOAT32_TOLERANCE = 1e-4
"""How far a probability of another runtime's float32 may be from the golden one."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """One model file of a release that a device can open."""

    row: Format
    bytes: int
    sha256: str
    channels: int
    """That it takes: a grey model's form for images in colour takes three."""
    tolerance: float
    """The largest difference from a golden probability that a runtime may show."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """A release, as far as it concerns devices."""

    release: Path
    name: str
    version: int | None
    """None where the directory's name is no number: the release was copied out of its store."""
    manifest: dict
    contract: dict
    """As contract.json says it, with labels that have a UTF-8 form."""
    spec: ImageSpec
    models: tuple[ModelFile, ...]
    images: np.ndarray
    """uint8 (n, H, W, C): held-out images."""
    probabilities: np.ndarray
    """float32 (n, classes): the trained model's answers to them."""


def read(directory: Path) -> Facts:
    """The facts of the release in `directory`.

    Raises StoreError when it is no release, was altered, or holds nothing that a phone can open.
    """
    directory = directory.resolve()
    verify_directory(directory)
    version = int(directory.name) if directory.name.isdecimal() else None
    release = Release(directory.parent.name, version or 0, directory)
    manifest, contract = release.manifest(), release.contract()
    name = manifest.get("model")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StoreError(f"{directory / MANIFEST} names no model, but {reprlib.repr(name)}.")
    try:
        checked = contract_file.checked(contract)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{directory / CONTRACT} cannot be used: {error!r}.") from error
    listed = manifest["files"]
    for required in (LABELS, GOLDEN):
        if required not in listed:
            raise StoreError(f"{directory / required} is missing; a release needs it.")
    rows = [row for row in FORMATS.values() if row.file in listed and _for_devices(row)]
    if not any(row.runtime == "litert" for row in rows):
        raise StoreError(
            f"{directory} holds no TFLite file, which phones need: release a model that can be"
            " exported as one (export/README.md, Formats)."
        )
    spec, classes = checked["image_spec"], len(checked["labels"])
    contract |= {"labels": list(checked["labels"])}

    def golden(key: str) -> tuple[np.ndarray, np.ndarray]:
        try:
            return read_golden(directory / GOLDEN, key, spec, classes)
        except NotServable as error:
            raise StoreError(str(error)) from error

    def model(row: Format) -> ModelFile:
        """A file of reduced precision is held to its own golden answers when it is released; the
        bundle has one set of them, so how far these are from it is added."""
        tolerance = FLOAT32_TOLERANCE
        if row.precision != "float32":
            apart = float(np.abs(golden(row.name)[1] - probabilities).max())
            tolerance = float(f"{apart + TOLERANCES[row.precision]:.3g}")
        entry = listed[row.file]
        channels = 3 if row.from_grey else spec.channels
        return ModelFile(row, entry["bytes"], entry["sha256"], channels, tolerance)

    images, probabilities = golden("probabilities")
    models = tuple(map(model, rows))
    return Facts(directory, name, version, manifest, contract, spec, models, images, probabilities)


def _for_devices(row: Format) -> bool:
    """Every TFLite file, and ONNX in float32 for those who use ONNX Runtime."""
    return row.runtime == "litert" or row.name == "onnx"
