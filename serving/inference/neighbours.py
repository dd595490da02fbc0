"""neighbours.npz: the training images of a release by what its network's backbone makes of them,
from a file that nobody vouches for.

    features  uint8 (N, F)   only the direction of a row is meant: its largest number is 255
    labels    int64 (N,)
    names     uint8 (B,)     the images' file names as in UTF-8, each ended by a zero
    tensor    uint8 (B,)     the name, in UTF-8, of the value (batch, F) of model.onnx
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from serving.contract.onnx_output import with_output
from serving.contract.release_files import FORMATS, NEIGHBOURS
from serving.inference.errors import NotServable
from serving.inference.nearest import nearest
from serving.inference.npz import arrays_of
from serving.inference.onnx_runtime import open_session
from serving.store.files import open_plain
from serving.store.release import Release

MAX_IMAGES = 100_000
"""1,280 bytes each, of EfficientNet-Lite."""
_MAX_BYTES = 256 * 2**20  # of their features together
_MAX_NAMES = 128 * 2**20  # bytes
_MAX_TENSOR = 1000  # bytes

Infer = Callable[[np.ndarray], np.ndarray]


class Alike(NamedTuple):
    """A training image by its file name and its class."""

    name: str
    label: str


class Known(NamedTuple):
    """What the file holds."""

    features: np.ndarray
    labels: np.ndarray
    names: Sequence[str]
    tensor: str


class Neighbours:
    """The training images of a release that has them, and its model.onnx opened for its features;
    that one is a model of its own beside the one that answers."""

    def __init__(self, release: Release, labels: Sequence[str]):
        """Raises NotServable when a file of the release is missing or does not fit."""
        path = release.path / NEIGHBOURS
        self._labels, self._known = labels, read(path, len(labels))
        model = FORMATS["onnx"].in_release(release.path)
        self._infer = features_of(model, self._known.tensor, self._known.features.shape[1])

    def alike(self, images: np.ndarray, count: int) -> list[tuple[Alike, ...]]:
        """For each of `images` uint8 (n, H, W, C) the `count` training images that the network
        finds most alike, the most first. Raises NotServable when the model fails."""
        rows = nearest(self._infer(images), self._known.features, count)
        return [
            tuple(Alike(self._known.names[k], self._labels[self._known.labels[k]]) for k in near)
            for near in rows.tolist()
        ]


def features_of(model: Path, tensor: str, size: int) -> Infer:
    """From images uint8 (n, H, W, C) to the value called `tensor`, float32 (n, size), of the ONNX
    file `model`. Raises NotServable, as the function does, when that has no such value."""
    try:
        with open_plain(model) as file:
            session = open_session(model, content=with_output(file.read(), tensor))
    except OSError as error:
        raise NotServable(f"{model} cannot be read: {error.strerror or error}.") from error
    image = session.get_inputs()[0].name

    def infer(images: np.ndarray) -> np.ndarray:
        try:
            found = session.run([tensor], {image: images})[0]
        except Exception as error:  # ONNX Runtime's own exception types are not public
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:500]
            raise NotServable(f"{model} fails on images: {reason}") from error
        if found.shape != (len(images), size):
            raise NotServable(
                f"{model} gives {list(found.shape)} features of {len(images)} images, expected"
                f" {[len(images), size]}."
            )
        return found

    return infer


def read(path: Path, classes: int) -> Known:
    """The file at `path`, of a model of so many classes. Raises NotServable."""
    with arrays_of(path) as arrays:
        features = arrays.read("features", np.uint8, (None, None), MAX_IMAGES, _MAX_BYTES)
        images = len(features)
        labels = arrays.read("labels", np.int64, (images,), images, 8 * images)
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"it has labels up to {labels.max()} of {classes} classes")
        text = arrays.read("names", np.uint8, (None,), _MAX_NAMES, _MAX_NAMES)
        *names, last = text.tobytes().decode("utf-8", "surrogateescape").split("\0")
        if len(names) != images or last:
            raise ValueError(f"it has {len(names)} names of {images} images")
        tensor = arrays.read("tensor", np.uint8, (None,), _MAX_TENSOR, _MAX_TENSOR)
        return Known(features, labels, names, tensor.tobytes().decode())


def write(
    path: Path, features: np.ndarray, labels: np.ndarray, names: Sequence[str], tensor: str
) -> None:
    """Writes the file of `features` uint8 (N, F) as `directions` gives them."""
    ended = "".join(name.replace("\0", "\N{REPLACEMENT CHARACTER}") + "\0" for name in names)
    text = ended.encode("utf-8", "surrogateescape")
    held: dict[str, Any] = {
        "features": features,
        "labels": labels.astype(np.int64),
        "names": np.frombuffer(text, np.uint8),
        "tensor": np.frombuffer(tensor.encode(), np.uint8),
    }
    np.savez_compressed(path, **held)


def directions(features: np.ndarray) -> np.ndarray:
    """uint8 (n, F): rows that point where those of `features` float32 (n, F) do, none of which is
    negative."""
    largest = np.maximum(features.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.rint(np.clip(features / largest, 0, 1) * 255).astype(np.uint8)
