"""The lineage id: the same id means artifacts of the same graph and the same weights.

Their bytes may still differ: TensorFlow puts a random identifier into each SavedModel, and tf2onnx
numbers the values it makes in no fixed order.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from components.base.process import ROOT
from components.networks.network import Network

_NETWORK_SOURCES = (
    "components/networks/description.py",
    "components/networks/layers.py",
    "components/networks/keras_layers.py",
    "components/networks/keras_model.py",
    "components/networks/torch_layers.py",
    "components/networks/torch_model.py",
)
# The transform graph itself is written with counters and random identifiers, so that the same
# source gives other bytes each time: its source stands for it.
_TRANSFORM_SOURCES = ("components/data/transform_tfx.py",)
_LIBRARIES = ("keras", "onnx", "onnxscript", "tensorflow", "tf2onnx", "torch")


def identify(
    network: Network,
    weights: Mapping[str, np.ndarray],
    with_transform: bool,
    root: Path = ROOT,
) -> str:
    """`<framework>-<16 hex digits>` of a SHA-256 over everything the artifacts depend on.

    That is the network's description, the names, types, shapes and bytes of the weights (not the
    weights file, whose container may hold times), the sources of the export and, with a transform
    graph, of the transform, and the versions of the libraries that convert.
    """
    digest = hashlib.sha256()

    def add(name: str, content: bytes) -> None:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)

    description = {
        "framework": network.framework,
        "architecture": network.architecture.model_dump(mode="json"),
        "image_spec": network.spec.to_dict(),
        "labels": list(network.labels),
    }
    add("network", json.dumps(description, sort_keys=True).encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        add(f"weight {name} {array.dtype.str} {array.shape}", array.tobytes())
    sources = [root / name for name in _NETWORK_SOURCES + _TRANSFORM_SOURCES * with_transform]
    for path in sorted([*(root / "export").glob("*.py"), *sources]):
        if path.is_file():
            add(f"source {path.relative_to(root).as_posix()}", path.read_bytes())
    for library in _LIBRARIES:
        add(f"library {library}", importlib.metadata.version(library).encode())
    return f"{network.framework}-{digest.hexdigest()[:16]}"
