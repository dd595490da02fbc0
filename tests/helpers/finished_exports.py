"""What `python -m export` leaves, as far as a release depends on it; nobody opens the models."""

import json
from pathlib import Path

import numpy as np

from components.data.arrays import ImageArrays
from export.formats import contract as contracts
from export.release.push import Exported, read_exported
from export.verification.config import BATCHES
from export.verification.held_out import GOLDEN_ANSWERS, golden_rows
from serving.contract.release_files import FORMATS, sha256
from tests.helpers.export_data import digits_arrays, network

GOOD = {"accuracy": 0.99, "loss": 0.1}
TEST = 101
"""Images of the split test."""


def finished_exports(directory: Path, framework: str, lineage: str) -> Path:
    """One framework's exports, with a contract of this lineage."""
    contract = contracts.to_json(contracts.build(network(framework), lineage)) + "\n"
    for name, content in {
        "saved_model/saved_model.pb": f"graph of {lineage}",
        "saved_model/fingerprint.pb": "print",
        "saved_model/variables/variables.index": "index",
        "saved_model/variables/variables.data-00000-of-00001": "data",
        "saved_model/assets.extra/contract.json": contract,
        "contract.json": contract,
    }.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    (directory / GOLDEN_ANSWERS).mkdir(exist_ok=True)
    for name in contracts.formats(network(framework)):
        if not FORMATS[name].directory:
            (directory / FORMATS[name].file).write_text(name)
        golden = _probabilities()[golden_rows(TEST)]
        np.save(directory / GOLDEN_ANSWERS / f"{name}.npy", golden)
    return directory


def arrays_and_predictions(directory: Path) -> tuple[Path, Path]:
    """ImageArrays of 101 test digits, and an npz of some model's probabilities on them."""
    arrays = digits_arrays(directory / "arrays", TEST)
    labels = ImageArrays(arrays).split("test").labels
    np.savez(directory / "predictions.npz", probabilities=_probabilities(), labels=labels)
    return arrays, directory / "predictions.npz"


def _probabilities() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(10), TEST).astype(np.float32)


def parity_records(exports: Path, framework: str = "torch") -> list[dict]:
    """parity.json's records of these exports: all agree."""
    contract = json.loads((exports / "contract.json").read_text())
    return [
        {
            "framework": framework,
            "artifact": name,
            "batch": batch,
            "images": TEST,
            "max_difference": 1e-7,
            "mean_difference": 1e-8,
            "agreement": 1.0,
            "accuracy": 0.9,
            "source_accuracy": 0.9,
            "bytes": 1000,
            "error": None,
            "passed": True,
            "sha256": sha256(exports / FORMATS[name].file),
            "contract": contracts.digest(contracts.inside(contract, FORMATS[name])),
        }
        for name in contracts.formats(network(framework))
        for batch in BATCHES
    ]


def exported(tmp_path, framework: str, number: int, metrics: dict) -> tuple[Exported, list[dict]]:
    """A model's exports and their records; another `number` is another model."""
    lineage = f"{framework}-{number:016x}"
    directory = finished_exports(tmp_path / f"out-{number}" / framework, framework, lineage)
    found = read_exported(directory, tmp_path / "predictions.npz", metrics)
    return found, parity_records(directory, framework)
