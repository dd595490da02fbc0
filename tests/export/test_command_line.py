"""`python -m export MODEL_DIR OUT`: a trained model by itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.base.fingerprint import ROOT
from tests.helpers.small_exports import ingredients


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return ingredients(tmp_path_factory.mktemp("export"), ("torch",))


def exported(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "export", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_any_trained_model_is_exported_by_hand_with_its_directory_alone(work, tmp_path):
    """As a run leaves them: the model and what it was trained on under one root."""
    artifacts = tmp_path / "artifacts"
    shutil.copytree(work / "torch", artifacts / "train_torch/model/9")
    shutil.copytree(work / "arrays", artifacts / "pack/arrays/7")
    (artifacts / "pack/arrays/8").mkdir()  # another run's, unfinished
    formats = ("--formats", "onnx_float16", "safetensors")
    done = exported(artifacts / "train_torch/model/9", tmp_path / "out", *formats)
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "out/parity.json").read_text())
    assert list(dict.fromkeys(r["artifact"] for r in records)) == [
        "onnx", "onnx_float16", "safetensors",
    ]  # fmt: skip
    assert all(record["passed"] for record in records)
    *verified, last = done.stdout.splitlines()
    assert len(verified) == 3 and all(line.startswith("  verify torch ") for line in verified)
    assert last.startswith("3 artifacts in ") and not done.stderr
    assert "export torch onnx: " in (tmp_path / "out/log.txt").read_text()


def test_what_does_not_fit_is_refused_before_anything_is_written(work, tmp_path):
    alone = shutil.copytree(work / "torch", tmp_path / "a/b/c/alone")
    arrays = ("--arrays", work / "arrays")
    for arguments, words in (
        ((alone,), "name them by --arrays"),
        ((alone, "--arrays", tmp_path), "holds no image_spec.json"),
        ((alone, *arrays, "--formats", "keras"), "cannot be exported as keras: a model of torch"),
        ((alone, *arrays, "--images", "0"), "'0' is not a count, expected 1 or more"),
        ((work / "arrays", *arrays), "expected a trained model's directory"),
    ):
        model, *more = arguments
        refused = exported(model, tmp_path / "none", *more)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert words in " ".join((refused.stdout + refused.stderr).split())
        assert not (tmp_path / "none").exists()
