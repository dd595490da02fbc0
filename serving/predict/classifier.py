"""A release without a server: images in, probabilities out, from its ONNX or TFLite file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import FORMATS, Format, formats_of, titles
from serving.inference.errors import NotServable
from serving.inference.model import Model, verified_contract
from serving.store.release import Release

Infer = Callable[[np.ndarray], np.ndarray]


class Classifier:
    """An unaltered release, opened from the file of one format.

    Attributes: `release`, `format` (its name), `spec` (ImageSpec), `labels`, and `infer`, from
    images uint8 (N, H, W, C) to probabilities float32 (N, classes).
    """

    def __init__(self, release: Release, format: str):
        """Raises NotServable when the release is damaged or has no such file, or that cannot be
        loaded."""
        self.release, self.format = release, format
        row = FORMATS[format]
        self.infer: Infer
        self.spec: ImageSpec
        self.labels: tuple[str, ...]
        if format == "onnx":  # with all that a server checks
            model = Model(release)
            self.infer, self.spec, self.labels = model.infer, model.spec, model.labels
            return
        contract, formats = verified_contract(release), formats_of(release.manifest())
        if row not in formats:
            raise NotServable(
                f"{release.path} has no {row.file}: it was released as "
                f"{titles([known.name for known in formats])}; use --format onnx."
            )
        self.infer = _opened(row, row.in_release(release.path))
        self.spec, self.labels = contract["image_spec"], contract["labels"]


def _opened(row: Format, path: Path) -> Infer:
    return _onnx(path) if row.runtime == "onnxruntime" else _tflite(path)


def _onnx(path: Path) -> Infer:
    from serving.inference.onnx_runtime import open_session

    session = open_session(path)
    return lambda images: session.run(["probabilities"], {"image": images})[0]


def _tflite(path: Path) -> Infer:
    from serving.inference.tflite_runtime import open_interpreter, quiet

    interpreter = open_interpreter(path)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    allocated: tuple[int, ...] = ()

    def infer(images: np.ndarray) -> np.ndarray:
        nonlocal allocated
        if images.shape != allocated:
            interpreter.resize_tensor_input(source["index"], images.shape)
            with quiet():
                interpreter.allocate_tensors()
            allocated = images.shape
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return infer
