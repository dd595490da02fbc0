"""The serving core: a release in memory, from uint8 images to probabilities. No transport here."""

from pathlib import Path

import numpy as np

from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import CONTRACT, FORMATS, GOLDEN
from serving.inference.errors import InvalidRequest, NotServable, TooLarge
from serving.inference.onnx_runtime import open_session
from serving.store.config_files import MAX_BATCH
from serving.store.release import Release, StoreError

GOLDEN_TOLERANCE = 1e-4
"""Largest difference from the golden probabilities with which a server becomes ready."""

_SLACK = 2
"""A run that allowed its exports more than the tolerance allows its server this times as much as
was measured: another machine's arithmetic differs a little more."""


class Model:
    """A verified release with its ONNX Runtime session; safe to use from several threads.

    Attributes: `name`, `version` (str), `labels`, `spec` (ImageSpec), `provider` ("CPU", "CUDA"),
    `input_shape` (-1, H, W, C) and `output_shape` (-1, classes).
    """

    platform = "onnx_onnxv1"
    max_batch = MAX_BATCH

    def __init__(self, release: Release, threads: int = 0):
        """Loads and checks `release`. `threads`: CPU threads of one inference, 0 for all cores.

        Raises NotServable when a file does not match the manifest, ONNX Runtime cannot load the
        model, its input or output is not the contract's, or it does not repeat golden.npz.
        """
        contract = verified_contract(release)
        self.name, self.version = release.name, str(release.version)
        self.labels, self.spec = contract["labels"], contract["image_spec"]
        self.input_name, self.input_shape = (
            contract["input"]["name"],
            (-1, *self.spec.shape),
        )
        self.output_name = contract["output"]["name"]
        self.output_shape = (-1, len(self.labels))
        self._session = open_session(_file(release), threads)
        self._check_signature(release)
        self.provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self._check_golden(release)

    def infer(self, images: np.ndarray) -> np.ndarray:
        """`images` uint8 (N, H, W, C), 1 <= N <= `max_batch`, to float32 (N, classes).

        Raises InvalidRequest for another type or shape, TooLarge for too many images.
        """
        if images.dtype != np.uint8:
            raise InvalidRequest(f"{self.input_name} is {images.dtype}, expected uint8.")
        self.check_shape(images.shape)
        return self._run(images)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises InvalidRequest or TooLarge unless `shape` is a batch this model takes."""
        if len(shape) != 4 or shape[1:] != self.input_shape[1:] or shape[0] < 1:
            raise InvalidRequest(
                f"{self.input_name} has shape {list(shape)}, expected {list(self.input_shape)}"
                " with at least one image."
            )
        if shape[0] > self.max_batch:
            raise TooLarge(f"{shape[0]} images in one request, at most {self.max_batch} are taken.")

    def _run(self, images: np.ndarray) -> np.ndarray:
        return self._session.run([self.output_name], {self.input_name: images})[0]

    def _check_signature(self, release: Release) -> None:
        inputs = {i.name: (i.type, tuple(i.shape[1:])) for i in self._session.get_inputs()}
        outputs = {o.name: o.type for o in self._session.get_outputs()}
        expected = {self.input_name: ("tensor(uint8)", self.spec.shape)}
        if inputs != expected or outputs.get(self.output_name) != "tensor(float)":
            raise NotServable(
                f"{_file(release)} takes {inputs} and gives {outputs}, its contract"
                f" says {expected} and {self.output_name}. Publish the model again."
            )

    def _check_golden(self, release: Release) -> None:
        images, expected = _golden(release)
        batches = range(0, len(images), self.max_batch)
        outputs = [self._run(images[start : start + self.max_batch]) for start in batches]
        received = np.concatenate(outputs)
        if received.shape != expected.shape or received.shape[1] != len(self.labels):
            raise NotServable(
                f"version {self.version} of {self.name} gives {list(received.shape)} probabilities,"
                f" {GOLDEN} has {list(expected.shape)} and there are {len(self.labels)} labels."
            )
        difference = float(np.abs(received - expected).max())
        tolerance = max(GOLDEN_TOLERANCE, _SLACK * _accepted_difference(release))
        if not difference <= tolerance:  # so that NaN is refused too
            raise NotServable(
                f"version {self.version} of {self.name} does not give its golden outputs on"
                f" {self.provider}: the largest difference is {difference:.2g}, expected at most"
                f" {tolerance:.0e}."
            )


def _file(release: Release) -> Path:
    return FORMATS["onnx"].in_release(release.path)


def verified_contract(release: Release) -> dict:
    """contract.json of an unaltered release: `image_spec` as ImageSpec, `labels` as a tuple.

    Raises NotServable when a file does not match the manifest or the contract lacks something.
    """
    try:
        release.verify()
        contract = release.contract()
        spec = ImageSpec.from_dict(contract["image_spec"])
        labels = tuple(str(label) for label in contract["labels"])
        return {**contract, "image_spec": spec, "labels": labels}
    except StoreError as error:
        raise NotServable(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise NotServable(f"{release.path / CONTRACT} is incomplete: {error!r}.") from error


def _golden(release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, H, W, C) and the float32 (n, classes) they were released with."""
    path = release.path / GOLDEN
    try:
        with np.load(path) as golden:
            return golden["image"], golden["probabilities"]
    except (OSError, KeyError, ValueError) as error:
        raise NotServable(f"{path} cannot be read: {error}. Publish the model again.") from error


def _accepted_difference(release: Release) -> float:
    """What the ONNX file was off by when the release was verified: `parity` of manifest.json."""
    records = release.manifest().get("parity", [])
    measured = [r.get("max_difference") or 0.0 for r in records if r.get("artifact") == "onnx"]
    return max([0.0, *measured])
