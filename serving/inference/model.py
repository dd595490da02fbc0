"""The serving core: a release in memory, from uint8 images to probabilities. No transport here."""

import math
import mmap
from pathlib import Path

import numpy as np

from serving.contract.contract_file import checked
from serving.contract.labels import labels_text
from serving.contract.onnx_structure import problem
from serving.contract.release_files import CONTRACT, FORMATS, GOLDEN, LABELS
from serving.inference.errors import InvalidRequest, NotServable, TooLarge
from serving.inference.golden import read_golden
from serving.inference.onnx_runtime import open_session
from serving.store.config_files import MAX_BATCH
from serving.store.files import open_plain, read_plain
from serving.store.release import MOST_JSON, Release, StoreError
from serving.store.signature import verify_signature

GOLDEN_TOLERANCES = {"float32": 1e-4, "float16": 0.02, "int8": 0.05}
"""Largest difference from the golden probabilities with which a server becomes ready, by precision:
in reduced precision another processor rounds to other levels, which lead away a little."""

_SLACK = 2
"""A run that allowed its exports more than the tolerance allows its server this times as much as
was measured: another machine's arithmetic differs a little more."""


class Model:
    """A verified release with its ONNX Runtime session; safe to use from several threads.

    Attributes: `name`, `version` (str), `labels`, `spec` (ImageSpec), `provider` ("CPU", "CUDA"),
    `input_shape` (-1, H, W, C) and `output_shape` (-1, classes).
    """

    platform = "onnxruntime_onnx"
    max_batch = MAX_BATCH

    def __init__(
        self,
        release: Release,
        threads: int = 0,
        format: str = "onnx",
        public_key: Path | None = None,
    ):
        """Loads and checks `release`. `threads`: CPU threads of one inference, 0 for all cores;
        `format`: which of its ONNX files, a name in `FORMATS`; `public_key`: whose signature it
        must have, if any.

        Raises NotServable when a file does not match the manifest or the signature, the release has
        no such format, the model is not all in its file, ONNX Runtime cannot load it, its input or
        output is not the contract's, or it does not repeat golden.npz.
        """
        self.format = FORMATS[format]
        contract = verified_contract(release, public_key)
        self._file = self.format.in_release(release.path)
        if not self._file.is_file():
            raise NotServable(f"version {release.version} of {release.name} has no {format} file.")
        self.name, self.version = release.name, str(release.version)
        self.labels, self.spec = contract["labels"], contract["image_spec"]
        self.input_name, self.input_shape = (
            contract["input"]["name"],
            (-1, *self.spec.shape),
        )
        self.output_name = contract["output"]["name"]
        self.output_shape = (-1, len(self.labels))
        _check_structure(self._file)
        self._session = open_session(self._file, threads)
        self._names = [self.output_name]
        self._check_signature()
        self.provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self._check_golden(release)

    def infer(self, images: np.ndarray) -> np.ndarray:
        """`images` uint8 (N, H, W, C), 1 <= N <= `max_batch`, to float32 (N, classes).

        Raises InvalidRequest for another type or shape, TooLarge for too many images.
        """
        if images.dtype != np.uint8:
            raise InvalidRequest(f"{self.input_name} is {images.dtype}, expected uint8.")
        self.check_shape(images.shape)
        return self.run(images)

    def run(self, images: np.ndarray) -> np.ndarray:
        """`infer` of what has been checked before."""
        return self._session.run(self._names, {self.input_name: images})[0]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises InvalidRequest or TooLarge unless `shape` is a batch this model takes."""
        if len(shape) != 4 or shape[1:] != self.input_shape[1:] or shape[0] < 1:
            raise InvalidRequest(
                f"{self.input_name} has shape {list(shape)}, expected {list(self.input_shape)}"
                " with at least one image."
            )
        self.check_count(shape[0])

    def check_count(self, images: int) -> None:
        """Raises TooLarge when they are more than one request may have."""
        if images > self.max_batch:
            raise TooLarge(f"{images} images in one request, at most {self.max_batch} are taken.")

    def _check_signature(self) -> None:
        inputs = {i.name: (i.type, tuple(i.shape)) for i in self._session.get_inputs()}
        outputs = {o.name: o.type for o in self._session.get_outputs()}
        takes = [("tensor(uint8)", self.spec.shape)]
        fits = [(kind, shape[1:]) for kind, shape in inputs.values()] == takes
        fits = fits and not any(isinstance(shape[0], int) for _, shape in inputs.values())
        names = [*inputs, *outputs]
        if (
            not fits
            or names != [self.input_name, self.output_name]
            or (outputs[self.output_name] != "tensor(float)")
        ):
            expected = {self.input_name: ("tensor(uint8)", ("batch", *self.spec.shape))}
            raise NotServable(
                f"{self._file} takes {str(inputs)[:500]} and gives {str(outputs)[:500]}, its"
                f" contract says {expected} and {self.output_name}. Publish the model again."
            )

    def _check_golden(self, release: Release) -> None:
        key = "probabilities" if self.format.precision == "float32" else self.format.name
        path, classes = release.path / GOLDEN, len(self.labels)
        images, expected = read_golden(path, key, self.spec, classes)
        batches = range(0, len(images), self.max_batch)
        try:
            outputs = [self.run(images[start : start + self.max_batch]) for start in batches]
            received = np.concatenate(outputs)
        except Exception as error:  # ONNX Runtime's own exception types are not public
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:500]
            raise NotServable(f"{self._file} fails on the images of {GOLDEN}: {reason}") from error
        if received.shape != expected.shape or received.shape[1] != len(self.labels):
            raise NotServable(
                f"version {self.version} of {self.name} gives {list(received.shape)} probabilities,"
                f" {GOLDEN} has {list(expected.shape)} and there are {len(self.labels)} labels."
            )
        difference = float(np.abs(received - expected).max())
        tolerance = GOLDEN_TOLERANCES[self.format.precision]
        if self.format.precision == "float32":
            tolerance = max(tolerance, _SLACK * _accepted_difference(release))
        if not difference <= tolerance:  # so that NaN is refused too
            raise NotServable(
                f"version {self.version} of {self.name} does not give its golden outputs on"
                f" {self.provider}: the largest difference is {difference:.2g}, expected at most"
                f" {tolerance:.0e}."
            )


def verified_contract(release: Release, public_key: Path | None = None) -> dict:
    """contract.json of an unaltered release: `image_spec` as ImageSpec, `labels` as a tuple.

    With `public_key`, a PEM, only of a release that was signed with its private key. Raises
    NotServable when a file does not match the manifest or the signature, or the contract lacks
    something or contradicts labels.txt.
    """
    path = release.path / CONTRACT
    try:
        release.verify()
        if public_key is not None:
            verify_signature(release.path, public_key)
        given = release.contract()
        contract = checked(given)
        _check_labels(release.path / LABELS, given["labels"])
        return contract
    except StoreError as error:
        raise NotServable(str(error)) from error
    except OSError as error:
        raise NotServable(f"version {release.version} of {release.name}: {error}.") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise NotServable(f"{path} is incomplete: {error!r}.") from error
    except (OverflowError, ValueError) as error:
        raise NotServable(f"{path} cannot be served: {error}") from error


def _check_labels(path: Path, labels: list[str]) -> None:
    """Other servers name the classes by this file."""
    if path.exists() and read_plain(path, MOST_JSON) != labels_text(labels):
        raise ValueError(f"it has {len(labels)} labels, and not those in {path}.")


def _check_structure(path: Path) -> None:
    """Raises NotServable for a file that ONNX Runtime should not even open."""
    try:
        with open_plain(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as map:
            with memoryview(map) as data:
                reason = problem(data)
    except (OSError, ValueError) as error:  # of an empty file there is no map
        reason = str(error)
    if reason is not None:
        raise NotServable(f"{path} is not opened: {reason}.")


def _accepted_difference(release: Release) -> float:
    """What the ONNX file was off by when the release was verified: `parity` of manifest.json."""
    try:
        records = [r for r in release.manifest().get("parity", []) if r.get("artifact") == "onnx"]
        measured = [float(record.get("max_difference") or 0.0) for record in records]
    except (AttributeError, TypeError, ValueError) as error:
        raise NotServable(f"{release.path}: parity of the manifest is damaged: {error}.") from error
    return max([0.0, *filter(math.isfinite, measured)])
