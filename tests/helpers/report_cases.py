"""What finished runs leave for their report, without the runs: real digits, the answers of a small
real classifier, pictures drawn of them, and verdicts whose numbers follow from them.

Each case fills a directory and returns the verdict as JSON has it.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from components.data import image_index
from components.data.accounting import Finding, write_findings
from components.data.arrays import ImageArrays
from components.data.pack import write_description, write_shard
from components.evaluation.calibration import calibration_error
from components.evaluation.predictions import save_predictions
from pipeline.outcome.gallery import write_mistakes
from pipeline.outcome.samples import DARK, write_samples
from pipeline.outcome.verdict import MISTAKES, SAMPLES, SAMPLES_DARK, Verdict
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import FORMATS

SMOOTHING = {"keras": 0.3, "torch": 0.03}
"""Of the classifiers that stand for the frameworks' models."""
TRAIN = 1200
"""Digits that they learn from; the others are tested."""


SINCE: dict[str, Any] = {
    "release": 2,
    "added": {"train": {"3": 30, "7": 1}, "test": {"3": 1_004}},
    "removed": {"train": {"7": 2}},
    "drift": {
        "class_name": {"train": 0.012, "val": 0.031, "test": 0.02},
        "mean": {"train": 0.0004, "test": 0.15},
    },
}


def released(directory: Path) -> dict[str, Any]:
    """Both models passed; one artifact is left out, and there are two warnings."""
    verdict = _digits(directory)
    rows = [(f, n) for f in SMOOTHING for n, row in FORMATS.items() if f in row.sources]
    return verdict | {
        "status": "released", "exit_code": 0, "version": 3, "champion": "keras", "current": 3,
        "release": "/data/darkroom/out/serving/models/digits/3",
        "sentence": "digits version 3: keras, 17 artifacts verified against their sources.",
        "warnings": ["597 test images: <few> to tell two models apart.", "torch is slower."],
        "gates": [gate for n in range(30) for gate in _data_gates(f"gate_{n}")],
        "artifacts": [_artifact(*row, left_out=row == ("keras", "onnx_int8")) for row in rows],
        "data": verdict["data"] | {"since_release": SINCE},
        "comparisons": {
            "keras": [
                _comparison("current", 2, only_new_right=5, only_old_right=7),
                _comparison("best", 1, only_new_right=None, only_old_right=None),
            ]
        },
    }  # fmt: skip


def refused(directory: Path) -> dict[str, Any]:
    """One model's accuracy could not be computed, the other's is too low."""
    verdict = _digits(directory)
    verdict["models"]["torch"] |= {"accuracy": None, "loss": None, "blessed": False}
    bound = "at least 0.9900 (gates.min_accuracy)"
    failed = [
        _gate("accuracy", n, bound, False, f) for n, f in (("nan", "torch"), ("0.85", "keras"))
    ]
    return verdict | _refusal(failed, _data_gates(), 3)


def refused_data(directory: Path) -> dict[str, Any]:
    """More files are unreadable than may be; nothing was trained."""
    labels = ["cat", "dog with a name that is rather long for a folder"]
    reasons = ["truncated"] * 130 + ["too_large"] * 7
    bad = [
        Finding("quarantined", f"{labels[n % 2]}/{'deep/' * 9}image-{n:03d}.jpg", "", "", why, n)
        for n, why in enumerate(reasons)
    ]
    twin = [Finding("duplicate", "cat/a.png", "val", "cat", "same pixels as cat/b.png in test")]
    write_findings(directory / "findings.csv", bad + twin)
    data = _data(labels, {"train": [30, 20], "val": [4, 2], "test": [9, 5]}) | {
        "read": 208, "quarantined": len(bad), "duplicates": 1,
        "findings": {
            "quarantined": [dataclasses.asdict(finding) for finding in bad[:100]],
            "duplicate": [dataclasses.asdict(finding) for finding in twin],
        },
    }  # fmt: skip
    expected = "at most 1.00% of the files (data_gate.max_quarantined)"
    gate = _gate("quarantined", "65.87% (137 of 208)", expected, False)
    verdict = Verdict("20261124-120000-000000", "folder:/data/pets", "pets", current=2)
    return json.loads(verdict.to_json()) | {"data": data} | _refusal([gate], _data_gates(), 4)


def hundred_classes(directory: Path) -> dict[str, Any]:
    """Pairs of digits in coloured noise, 64x64; many classes fail a gate of their own."""
    digits, generator = load_digits(), np.random.default_rng(0)
    labels = np.arange(100).repeat(8)
    sides = []
    for place in (labels // 10, labels % 10):
        of = [TRAIN + np.flatnonzero(digits.target[TRAIN:] == digit) for digit in range(10)]
        sides.append(np.array([generator.choice(of[digit]) for digit in place]))
    images = generator.uniform(0, 80, (len(labels), 64, 64, 3))
    for number, rows in enumerate(sides):
        large = np.kron(digits.images[rows], np.ones((1, 4, 4)))[..., None] * 10
        images[:, 16:48, 32 * number : 32 * number + 32] += large
    answers = {}
    for framework in SMOOTHING:
        first, second = (_answers(framework)[rows] for rows in sides)
        answers[framework] = (first[:, :, None] * second[:, None, :]).reshape(-1, 100)
    kinds = [f"{n:02d} {'with a long name ' * (n % 7 == 0)}kind" for n in range(100)]
    verdict = _trained(directory, images.astype(np.uint8), labels, kinds, answers)
    failed = [
        _gate("recall", f"{row['recall']:.4f}", "at least 0.9500 (gates.min_recall)", False, f)
        | {"scope": f"class {name}", "threshold": 0.95, "value": row["recall"]}
        for f, model in verdict["models"].items()
        for name, row in model["metrics"]["per_class"].items()
        if row["recall"] < 0.95
    ]
    return verdict | _refusal(failed, _data_gates(), 3)


CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "released": released,
    "refused": refused,
    "refused data": refused_data,
    "hundred classes": hundred_classes,
}


def _answers(framework: str) -> np.ndarray:
    """float32 (1797, 10): of a classifier that has seen the first digits, on all of them."""
    digits = load_digits()
    model = GaussianNB(var_smoothing=SMOOTHING[framework])
    model.fit(digits.data[:TRAIN], digits.target[:TRAIN])
    return model.predict_proba(digits.data).astype(np.float32)


def _digits(directory: Path) -> dict[str, Any]:
    digits = load_digits()
    images = (digits.images * 255 / 16).astype(np.uint8)[TRAIN:, :, :, None]
    answers = {framework: _answers(framework)[TRAIN:] for framework in SMOOTHING}
    labels = digits.target[TRAIN:].astype(np.int64)
    return _trained(directory, images, labels, [str(n) for n in range(10)], answers)


def _trained(
    directory: Path,
    images: np.ndarray,
    labels: np.ndarray,
    names: list[str],
    answers: dict[str, np.ndarray],
) -> dict[str, Any]:
    """The verdict of a run that measured `answers` on its test split, and its pictures."""
    spec = ImageSpec(*images.shape[1:])
    for split in ("train", "test"):
        write_shard(directory / "arrays" / split, 0, len(labels), spec, [(images, labels)])
    write_description(directory / "arrays", spec, names)
    files = {framework: directory / f"{framework}.npz" for framework in answers}
    for framework, path in files.items():
        save_predictions(path, answers[framework], labels)
    rows = [
        image_index.Row("test", names[label], f"{row:064x}", f"photos/{names[label]}/{row}.png")
        for row, label in enumerate(labels)
    ]
    image_index.write(directory / image_index.INDEX, rows)
    arrays = ImageArrays(directory / "arrays")
    write_samples(arrays, files, directory / SAMPLES)
    write_samples(arrays, files, directory / SAMPLES_DARK, DARK)
    write_mistakes(arrays, files, directory / image_index.INDEX, directory / MISTAKES)
    Image.new("RGB", (900, 400), "white").save(directory / "preview.png")
    counts = np.bincount(labels, minlength=len(names)).tolist()
    verdict = Verdict("20261124-120000-000000", "digits", "digits", fingerprint="ab" * 32)
    models = {framework: _model(given, labels, names) for framework, given in answers.items()}
    return json.loads(verdict.to_json()) | {
        "models": models,
        "data": _data(names, {split: counts for split in ("train", "val", "test")}),
        "contract": {
            "image_spec": spec.to_dict(), "labels": names,
            "models": {"keras": {"lineage": "keras-0123456789abcdef", "temperature": 1.5}},
        },
        "steps": [
            {"name": f"step_{n}", "seconds": 1.0, "cached": n > 3, "why": "new arrays, new plan"}
            for n in range(8)
        ],
    }  # fmt: skip


def _model(probabilities: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, Any]:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    found, right = counts.sum(axis=0), counts.diagonal()
    accuracy = float(right.sum() / len(labels))
    error, bins = calibration_error(probabilities, labels)
    metrics = {
        "accuracy": accuracy, "top_3_accuracy": 0.99, "loss": 0.5, "images": len(labels),
        "interval": [accuracy - 0.02, accuracy + 0.02], "confusion_matrix": counts.tolist(),
        "per_class": {
            name: {
                "recall": float(right[n] / counts[n].sum()),
                "precision": float(right[n] / found[n]) if found[n] else None,
            }
            for n, name in enumerate(names)
        },
        "calibration": {
            "temperature": 1.5, "error": error, "error_before": error + 0.05, "bins": bins,
        },
        "slices": [
            {"feature": "brightness", "value": "0 to 63", "images": 1, "accuracy": 1.0},
            {"feature": "brightness", "value": "64 to 127", "images": 596, "accuracy": accuracy},
        ],
        "robustness": {"gaussian_noise": 0.81, "blur": 0.62, "brightness": None},
    }  # fmt: skip
    history = [
        {
            "epoch": n, "loss": 2 / n, "accuracy": 1 - 1 / (n + 1), "val_loss": 1 / n,
            "val_accuracy": 1 - 1 / (n + 2), "learning_rate": 10.0**-n,
        }
        for n in range(1, 9)
    ]  # fmt: skip
    return {
        "accuracy": accuracy, "loss": 0.5, "blessed": True, "device": "cpu, 2 threads, bfloat16",
        "epochs": 8, "best_epoch": 7, "train_seconds": 12.5, "images_per_second": 4000.0,
        "parameters": 85_450, "metrics": metrics, "history": history,
    }  # fmt: skip


def _data(labels: list[str], splits: dict[str, list[int]]) -> dict[str, Any]:
    rows = [
        {"split": split, "label": name, "read": n, "good": n, "quarantined": 0, "duplicates": 0}
        for split, counts in splits.items()
        for name, n in zip(labels, counts)
    ]
    total = sum(row["read"] for row in rows)
    return {
        "read": total, "good": total, "quarantined": 0, "duplicates": 0, "without_class": 0,
        "ignored": 3, "near_duplicates": 0, "conflicting_labels": 0, "reencoded": {"TIFF": 2},
        "splits": {split: dict(zip(labels, counts)) for split, counts in splits.items()},
        "accounting": rows, "findings": {}, "balance": None,
    }  # fmt: skip


def _gate(
    name: str, received: str, expected: str, passed: bool, model: str | None = None
) -> dict[str, Any]:
    return {
        "name": name, "model": model, "artifact": None, "expected": expected,
        "received": received, "passed": passed,
    }  # fmt: skip


def _data_gates(name: str = "labels") -> list[dict[str, Any]]:
    return [_gate(name, "all", "a class of the source's list for every image", True)]


def _refusal(failed: list[dict], passed: list[dict], exit_code: int) -> dict[str, Any]:
    said = [f"{g['name']} is {g['received']}, expected {g['expected']}" for g in failed]
    return {
        "status": "refused", "exit_code": exit_code, "sentence": "; ".join(said) + ".",
        "gates": passed + failed,
    }  # fmt: skip


def _artifact(framework: str, name: str, left_out: bool) -> dict[str, Any]:
    why = f"{framework} {name}: agreement is 0.9712, expected at least 0.9850."
    times = {"p50": 0.34, "p99": 1.2}
    return {
        "model": framework, "artifact": name, "title": FORMATS[name].title, "bytes": 512_116,
        "images": 597, "accuracy": 0.85, "max_difference": 7.7e-7, "agreement": 1.0,
        "passed": not left_out, "left_out": why if left_out else None,
        "latency": None if FORMATS[name].for_gpu else {"1": times, "32": times},
    }  # fmt: skip


def _comparison(kind: str, version: int, **paired: int | None) -> dict[str, Any]:
    source = "on the same test images"
    then = {"released_accuracy": 0.89, "released_images": 597}
    return {"kind": kind, "version": version, "accuracy": 0.87, "source": source} | then | paired
