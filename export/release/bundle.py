"""A release directory out of one framework's verified exports. Framework-free.

The formats and the names of all files are those of `release_files.py`.
"""

import datetime
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from components.data.arrays import ImageArrays
from components.evaluation.predictions import predicted
from export.formats import contract as contracts
from export.release import model_card, provenance, sbom
from export.release.neighbours import TrainingFeatures, write_neighbours
from export.verification import held_out
from export.verification.config import batch_sizes
from export.verification.records import TOLERANCES
from serving.contract import release_files
from serving.contract.labels import labels_text
from serving.contract.release_files import (
    CONTRACT,
    CONTRACT_IN_SAVED_MODEL,
    DATA,
    FORMATS,
    GOLDEN,
    LABELS,
    MANIFEST,
    MODEL_CARD,
    NEIGHBOURS,
    SAVED_MODEL_GRAPH,
    SBOM,
    UNLISTED,
)


def bundle(
    framework_output_dir: str | Path,
    target_dir: str | Path,
    *,
    name: str,
    run_id: str,
    arrays: str | Path,
    predictions: str | Path,
    metrics: dict,
    gates: list,
    parity: list,
    latency: dict | None = None,
    data: str | Path | None = None,
    code: dict | None = None,
    extra: dict | None = None,
    neighbours: TrainingFeatures | None = None,
) -> Path:
    """Fills `target_dir` (new or empty) and returns it; publishing it is the release store's work.

    `framework_output_dir` is `<output>/<framework>` of `python -m export`, `arrays` the ImageArrays
    directory, `predictions` the npz of that framework's probabilities on the split "test". `parity`
    holds the records of parity.json of the artifacts to release, `latency` their times. `data` is a
    folder with the schema and the statistics of the images, which becomes `data/`. `code` is what
    `provenance.recorded` said when the run began, now where it is None. `metrics`,
    `gates`, `parity`, `latency` and the keys of `extra` go into the manifest as they are, and what
    they say into the model card. `neighbours` become neighbours.npz where ONNX is among the
    formats.

    Raises ValueError when an export is missing or its contract differs, when an artifact did not
    pass its verification or is not the one that did, when the predictions are not of this split or
    not those that it was compared with, when `target_dir` holds something, when `neighbours` are
    not those of the model, or when `extra` names a key of its own.
    """
    source, target = Path(framework_output_dir), Path(target_dir)
    contract = _contract(source, [record["artifact"] for record in parity])
    verified = _verified(parity, contract)
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is not empty: expected a new directory.")
    _copy(source, target, verified)
    shutil.copyfile(source / CONTRACT, target / CONTRACT)
    (target / LABELS).write_bytes(labels_text(contract["labels"]))
    if data is not None:
        shutil.copytree(data, target / DATA)
    # Any, as savez has a keyword of its own (allow_pickle), which is not among these names.
    answers: dict[str, Any] = golden(Path(arrays), Path(predictions))
    answers |= _golden_answers(source, parity, answers["probabilities"])
    np.savez(target / GOLDEN, **answers)
    manifest = {
        "model": name,
        "framework": contract["framework"],
        "formats": list(verified),
        "lineage": contract["lineage"],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "run_id": run_id,
        "provenance": code or provenance.recorded(),
        "metrics": metrics,
        "parity": parity,
        "latency": latency or {},
        "gates": gates,
        "files": {},
    }
    if clash := sorted(manifest.keys() & (extra or {}).keys()):
        raise ValueError(f"extra names {clash}, which the manifest sets itself: rename them.")
    manifest |= extra or {}
    if neighbours is not None and "onnx" in verified:
        model = FORMATS["onnx"].in_release(target)
        count = write_neighbours(target / NEIGHBOURS, model, ImageArrays(arrays), neighbours)
        manifest["neighbours"] = count
    (target / MODEL_CARD).write_text(model_card.build(manifest, contract), encoding="utf-8")
    listed = files(target)
    backbone = manifest.get("backbone")
    bill = sbom.build(name, contract["lineage"], verified, listed, backbone=backbone).encode()
    (target / SBOM).write_bytes(bill)
    listed[SBOM] = {"sha256": hashlib.sha256(bill).hexdigest(), "bytes": len(bill)}
    manifest["files"] = dict(sorted(listed.items()))
    text = json.dumps(manifest, indent=1, allow_nan=False)
    (target / MANIFEST).write_text(text + "\n")
    return target


def golden(arrays: Path, predictions: Path) -> dict[str, np.ndarray]:
    """Up to 16 held-out images spread over the split "test", with the source's own answers.

    image uint8 (n, H, W, C), probabilities float32 (n, classes), label int64 (n,). Beside them go
    each artifact's own answers, by the name of its format.
    """
    split, probabilities = predicted(ImageArrays(arrays), "test", predictions)
    rows = held_out.golden_rows(len(split))
    return {
        "image": split.images(rows),
        "probabilities": probabilities[rows].astype(np.float32),
        "label": split.labels[rows].astype(np.int64),
    }


def files(directory: Path) -> dict[str, dict]:
    """`{"sha256", "bytes"}` by relative path of every file below `directory` that a manifest
    lists."""
    found = {}
    for path in release_files.files(directory):
        name = path.relative_to(directory).as_posix()
        if name not in UNLISTED:
            found[name] = {"sha256": release_files.sha256(path), "bytes": release_files.size(path)}
    return found


def _golden_answers(
    source: Path, parity: list[dict], expected: np.ndarray
) -> dict[str, np.ndarray]:
    """Each artifact's answers to the golden images, which must be as near to the source's as its
    verification, which had these images too, says of it."""
    found = {}
    for kind in dict.fromkeys(record["artifact"] for record in parity):
        path = source / held_out.GOLDEN_ANSWERS / f"{kind}.npy"
        found[kind] = np.load(_there(path))
        measured = max(r["max_difference"] for r in parity if r["artifact"] == kind)
        most = measured + TOLERANCES[FORMATS[kind].precision]
        same = found[kind].shape == expected.shape
        if not same or not np.abs(found[kind] - expected).max() <= most:
            raise ValueError(
                f"{path} and the predictions of the golden images differ by more than the verified "
                f"{kind} does, {measured:.2g}: export the model again."
            )
    return found


def _verified(parity: list[dict], contract: dict) -> dict[str, str]:
    """The SHA-256 of each artifact, all of which must have passed at every batch size, with the
    contract that goes into the release."""
    framework = contract["framework"]
    found: dict[str, str] = {}
    expected = list(batch_sizes(*contract["input"]["shape"][1:3]))
    for kind in dict.fromkeys(record["artifact"] for record in parity):
        records = [r for r in parity if (r["framework"], r["artifact"]) == (framework, kind)]
        passed = [r["batch"] for r in records if r["passed"] is True]
        digests = {r["sha256"] for r in records}
        if passed != expected or len(records) != len(passed) or len(digests) != 1:
            raise ValueError(
                f"{framework}'s {kind} passed its verification at batch sizes {passed}, expected "
                f"{expected}, of one and the same artifact: export the model again."
            )
        inside = contracts.digest(contracts.inside(contract, FORMATS[kind]))
        if {r.get("contract") for r in records} != {inside}:
            raise ValueError(
                f"{framework}'s {kind} was verified with another contract inside than {CONTRACT} "
                "beside it: export the model again."
            )
        found[kind] = digests.pop()
    if not found:
        raise ValueError(f"{framework} has no verified artifact: export the model again.")
    return found


def _copy(source: Path, target: Path, verified: dict[str, str]) -> None:
    """Copies the artifacts, the SavedModel first, and compares each copy with what was verified."""
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(verified, key=lambda name: not FORMATS[name].directory):
        made, copy = source / FORMATS[name].file, FORMATS[name].in_release(target)
        if FORMATS[name].directory:
            shutil.copytree(made, copy, dirs_exist_ok=True)
        else:
            shutil.copyfile(made, copy)
        if (received := release_files.sha256(copy)) != verified[name]:
            raise ValueError(
                f"{made} has SHA-256 {received}, expected that of the verified {name}, "
                f"{verified[name]}: export the model again."
            )


def _contract(source: Path, formats: list[str]) -> dict:
    """The contract of the exports in `source`, all of which must be there to share it."""
    beside = source / CONTRACT
    contract = json.loads(_there(beside).read_text())
    for row in (FORMATS[name] for name in dict.fromkeys(formats)):
        made = source / row.file
        if not row.directory:
            _there(made)
            continue
        _there(made / SAVED_MODEL_GRAPH)
        inside = _there(made / CONTRACT_IN_SAVED_MODEL)
        if json.loads(inside.read_text()) != contract:
            raise ValueError(f"{inside} and {beside} are of different exports: export again.")
    return contract


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} is missing: export the model again.")
    return path
