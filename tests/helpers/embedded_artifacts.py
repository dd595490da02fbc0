"""A small artifact of each kind with a contract inside, made in milliseconds: by what writes it in
a release where that needs no framework, else in the form in which a framework leaves it."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from export.formats import contract as contracts
from serving.contract.release_files import CONTRACT
from tests.helpers.export_data import network
from tests.helpers.serving_fixtures import REPOSITORY, onnx_bytes

LINEAGES = {"keras": "keras-0123456789abcdef", "torch": "torch-fedcba9876543210"}


def contract(framework: str) -> dict:
    return contracts.build(network(framework), LINEAGES[framework])


def _onnx(path: Path, inside: dict) -> None:
    import onnx

    from export.formats.onnx import save

    save(onnx.load_from_string(onnx_bytes()), inside, path)


def _tflite(path: Path, inside: dict) -> None:
    from export.formats.tflite_file import with_contract

    content = (REPOSITORY / "tests/data/centroids.tflite").read_bytes()
    path.write_bytes(with_contract(content, inside))


def _safetensors(path: Path, inside: dict) -> None:
    from safetensors.numpy import save_file

    metadata = {"network": "{}", contracts.KEY: contracts.to_json(inside)}
    save_file({"weight": np.ones(1000, np.float32)}, path, metadata=metadata)


def _archive(member: str) -> Callable[[Path, dict], None]:
    def write(path: Path, inside: dict) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model/data", b"weights" * 1000)
            archive.writestr(member, contracts.to_json(inside) + "\n")

    return write


def _saved_model(path: Path, inside: dict) -> None:
    for name, text in {
        "saved_model.pb": "graph",
        "fingerprint.pb": "print",
        "variables/variables.index": "index",
        f"assets.extra/{CONTRACT}": contracts.to_json(inside) + "\n",
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)


WRITERS: dict[str, tuple[str, Callable[[Path, dict], None]]] = {
    "model.onnx": ("torch", _onnx),
    "model.tflite": ("torch", _tflite),
    "model.safetensors": ("torch", _safetensors),
    "model.pt2": ("torch", _archive(f"model/extra/{CONTRACT}")),
    "saved_model": ("torch", _saved_model),
    "model.keras": ("keras", _archive(CONTRACT)),
}
"""By name: whose contract is inside, and what writes it."""


def write(name: str, path: Path) -> Path:
    """The artifact called `name` in a release, at `path`."""
    framework, writer = WRITERS[name]
    writer(path, contract(framework))
    return path
