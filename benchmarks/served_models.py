"""Releases to serve: the presets' networks with weights at random, exported by the line's own code.

What a request costs does not depend on what the weights are, so that nothing has to be trained.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.prepared import OUTPUT
from components.base.process import run_module
from components.data.pack import write_shard
from components.networks.architectures import ARCHITECTURES
from components.networks.network import Network
from export.export_formats import FormatsArgs
from export.formats import contract as contracts
from export.release import bundle
from serving.contract.image_spec import ImageSpec
from serving.contract.labels import labels_text
from serving.contract.release_files import CONTRACT, FORMATS, GOLDEN, LABELS, MANIFEST
from serving.inference.onnx_runtime import open_session
from serving.store.release import Release
from serving.store.store import Store

SPECS = {
    "digits": ImageSpec(8, 8, 1, (0.3,), (0.4,)),
    "mnist_tiny": ImageSpec(28, 28, 1, (0.13,), (0.31,)),
    "cifar10": ImageSpec(32, 32, 3, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
}
"""Preset to what its network is fed."""
ROOT = OUTPUT / "serve"
"""The output root that the server is given."""

_LABELS = tuple("0123456789")
_FORMATS = ["onnx", "onnx_int8"]
_CALIBRATION = 512


def images(name: str, count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, H, W, C) at random, in squares of four pixels as pictures have them."""
    spec, generator = SPECS[name], np.random.default_rng(seed)
    coarse = -(-spec.height // 4), -(-spec.width // 4)
    squares = generator.integers(0, 256, (count, *coarse, spec.channels), dtype=np.uint8)
    return squares.repeat(4, 1).repeat(4, 2)[:, : spec.height, : spec.width]


def release(name: str) -> Release:
    """The release of the preset `name` in the store below `ROOT`, made where there is none."""
    store = Store(ROOT / "serving")
    found = store.current(name)
    if found is None:
        with tempfile.TemporaryDirectory() as directory:
            found = store.publish(name, _made(name, Path(directory)))
    return found


def _made(name: str, scratch: Path) -> Path:
    """A release directory with the formats of `_FORMATS` and all that a server asks for."""
    import torch

    from components.networks import torch_model

    torch.manual_seed(0)
    network = Network("torch", ARCHITECTURES[name](len(_LABELS)), SPECS[name], _LABELS)
    torch_model.save(torch_model.build(network), network, scratch / "model")
    contract, made = contracts.build(network, f"random-{name}"), scratch / "release"
    made.mkdir()
    _export(name, contract, scratch, made)
    (made / CONTRACT).write_text(contracts.to_json(contract) + "\n")
    (made / LABELS).write_bytes(labels_text(list(_LABELS)))
    golden = images(name, 16)
    answers = {
        form: open_session(FORMATS[form].in_release(made), threads=1).run(None, {"image": golden})[
            0
        ]
        for form in _FORMATS
    }
    probabilities = answers["onnx"]
    np.savez(
        made / GOLDEN, image=golden, probabilities=probabilities,
        label=probabilities.argmax(1), **answers,
    )  # fmt: skip
    off = {form: float(np.abs(answers[form] - probabilities).max()) for form in _FORMATS}
    manifest = {
        "model": name,
        "framework": "torch",
        "formats": _FORMATS,
        "lineage": contract["lineage"],
        "created": "2026-01-01T00:00:00.000000+00:00",
        "parity": [{"artifact": form, "max_difference": off[form]} for form in _FORMATS],
        "files": bundle.files(made),
    }
    (made / MANIFEST).write_text(json.dumps(manifest))
    return made


def _export(name: str, contract: dict, scratch: Path, made: Path) -> None:
    arrays, shown = scratch / "arrays", images(name, _CALIBRATION, seed=1)
    labels = np.zeros(len(shown), np.int64)
    write_shard(arrays / "train", 0, len(shown), SPECS[name], [(shown, labels)])
    (arrays / "image_spec.json").write_text(SPECS[name].to_json())
    (arrays / "labels.json").write_text(json.dumps(_LABELS))
    args = FormatsArgs(
        framework="torch",
        model_dir=scratch / "model",
        contract=contract,
        formats=_FORMATS,
        required=_FORMATS,
        arrays=arrays,
        calibration_images=_CALIBRATION,
        output=made,
        failures=scratch / "failures.json",
    )
    run_module("export.export_formats", args, scratch, seconds=600, gpu=False)
