"""An export that cannot be done, or not be verified: one sentence, and nothing that looks done."""

import contextlib
import json
import shutil
import subprocess
import sys
import time

import psutil
import pytest

from components.base.fingerprint import ROOT
from tests.helpers.small_exports import ingredients, run_export, start_export


@pytest.fixture(scope="module")
def work(tmp_path_factory, warm_processes):
    return ingredients(tmp_path_factory.mktemp("export"))


def test_a_failing_export_ends_with_one_sentence_naming_framework_and_format(work, tmp_path):
    broken = tmp_path / "torch"
    broken.mkdir()
    (broken / "network.json").write_text((work / "torch/network.json").read_text())
    export = run_export(work, models={"torch": str(broken)}, output=str(tmp_path / "out"))
    line = export.stderr.strip().splitlines()[-1]
    assert export.returncode == 1
    assert line.startswith("export: The export of torch's weights failed: ")
    assert "model.safetensors is missing" in line
    assert line == f"export: {(work / 'args.error').read_text()}"
    assert not (tmp_path / "out/parity.json").exists()


def test_a_killed_verification_is_no_verdict_but_a_failure_that_can_be_repeated(work, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "parity.json").write_text("of an earlier export")
    models = {"keras": str(work / "keras")}
    formats = {"formats": ["saved_model", "onnx"]}
    export = start_export(work, models=models, output=str(output), export=formats)
    while not (verification := child_of(export, "export.verification.parity")):
        assert export.poll() is None
        time.sleep(0.02)
    verification.kill()
    line = export.communicate()[1].strip().splitlines()[-1]
    assert export.returncode == 1
    assert line.startswith("export: The verification of keras's saved_model ended without a result")
    assert "signal 9" in line and "run it again" in line
    assert line == f"export: {(work / 'args.error').read_text()}"
    assert not (output / "parity.json").exists()


def child_of(process: subprocess.Popen, module: str) -> psutil.Process | None:
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if module in child.cmdline():
                return child
    return None


def test_wrong_arguments_are_refused_with_exit_code_2(tmp_path):
    (tmp_path / "args.json").write_text('{"models": {}}')
    done = subprocess.run(
        [sys.executable, "-m", "export", str(tmp_path / "args.json")],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2 and b"arrays" in done.stderr


def test_a_reduced_precision_that_cannot_be_made_is_left_out_unless_it_is_required(work, tmp_path):
    empty = shutil.copytree(work / "arrays", tmp_path / "arrays")
    shutil.rmtree(empty / "train")
    formats = {"formats": ["onnx", "onnx_int8"]}
    changes = {"models": {"torch": str(work / "torch")}, "arrays": str(empty)}
    export = run_export(work, **changes, output=str(tmp_path / "out"), export=formats)
    assert export.returncode == 0, export.stderr
    records = json.loads((tmp_path / "out/parity.json").read_text())
    assert {r["artifact"]: r["passed"] for r in records} == {"onnx": True, "onnx_int8": False}
    assert "no training images to calibrate int8" in records[-1]["error"]

    required = formats | {"required": ["onnx_int8"]}
    export = run_export(work, **changes, output=str(tmp_path / "out"), export=required)
    line = export.stderr.strip().splitlines()[-1]
    assert export.returncode == 1 and "onnx_int8" in line and "training images" in line
    assert not (tmp_path / "out/parity.json").exists()
