"""The lineage id: the same id means artifacts of the same graph and the same weights.

Their bytes may still differ: TensorFlow puts a random identifier into each SavedModel, and tf2onnx
numbers the values it makes in no fixed order.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping

import numpy as np

from components.base.fingerprint import PACKAGES, custom_files, meaning, named_files
from components.networks.custom_network import CustomNetwork
from components.networks.network import Network
from export.formats import contract
from serving.contract.release_files import FORMATS

_TRANSFORM = "components.data.transform_tfx"
"""The transform graph itself is written with counters and random identifiers, so that the same
source gives other bytes each time: its source stands for it."""
_LIBRARIES = ("keras", "litert-quantizer", "onnx", "onnxscript", "tensorflow", "tf2onnx", "torch")
_NOT_INFERENCE = "components/base/"
"""Processes, files and the terminal: imported by what makes the graphs, and no part of them."""


def code(network: Network, with_transform: bool) -> dict[str, str]:
    """The code on the way from an image to probabilities, as `{file: meaning}`: what the modules of
    the network's formats import, transitively, the transform, and a custom network's own files.

    Comments and docstrings do not count. Raises ValueError where a module is missing.
    """
    rows = (FORMATS[name] for name in contract.formats(network))
    roots = [contract.module_of(row, network) for row in rows]
    roots += [_TRANSFORM] * with_transform
    custom = {}
    if isinstance(network.architecture, CustomNetwork):
        reference = network.architecture.reference
        custom = custom_files(reference)
        if reference.partition(".")[0] in PACKAGES:  # a new module of the project itself
            roots.append(reference.partition(":")[0])
    files = named_files(*roots) | custom
    return {
        name: meaning(path)
        for name, path in sorted(files.items())
        if not name.startswith(_NOT_INFERENCE)
    }


def identify(
    network: Network,
    weights: Mapping[str, np.ndarray],
    with_transform: bool,
    temperature: float = 1.0,
) -> str:
    """`<framework>-<16 hex digits>` of a SHA-256 over everything the artifacts depend on.

    That is the network's description, the names, types, shapes and bytes of the weights (not the
    weights file, whose container may hold times), the `code` that inference consists of, and the
    versions of the libraries that convert.
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
        "temperature": temperature,
    }
    add("network", json.dumps(description, sort_keys=True).encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        add(f"weight {name} {array.dtype.str} {array.shape}", array.tobytes())
    add("code", json.dumps(code(network, with_transform)).encode())
    for library in _LIBRARIES:
        add(f"library {library}", importlib.metadata.version(library).encode())
    return f"{network.framework}-{digest.hexdigest()[:16]}"
