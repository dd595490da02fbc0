"""A release directory holds every format, golden answers, and a manifest that proves its files."""

import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.data.arrays import ImageArrays
from components.gates.result import GateResult
from export.formats import contract as contracts
from export.release.bundle import bundle
from export.verification.records import TOLERANCES
from serving.contract.labels import labels_text
from tests.helpers.export_data import LABELS, digits_arrays, network
from tests.helpers.finished_exports import arrays_and_predictions, finished_exports, parity_records

ROOT = Path(__file__).resolve().parents[3]
LINEAGE = "torch-0123456789abcdef"
GATE = GateResult("accuracy", "at least 0.97", "0.98", True, "torch").to_json()


@pytest.fixture
def exports(tmp_path):
    return finished_exports(tmp_path / "out/torch", "torch", LINEAGE)


@pytest.fixture
def data(tmp_path):
    arrays, predictions = arrays_and_predictions(tmp_path)
    return {"arrays": arrays, "predictions": predictions}


def made(exports, target, data, parity=None, **changes):
    facts = {
        "name": "digits",
        "run_id": "run-1",
        "metrics": {"accuracy": 0.98},
        "gates": [GATE],
        "extra": {"data": {"good": 3}},
    }
    parity = parity_records(exports) if parity is None else parity
    return bundle(exports, target, parity=parity, **(facts | data | changes))


def test_the_release_has_the_layout_that_servers_read(exports, data, tmp_path):
    release = made(exports, tmp_path / "release", data)
    found = {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    assert found == {
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/contract.json",
        "model.tflite",
        "model_float16.tflite",
        "model_dynamic_int8.tflite",
        "model_int8.tflite",
        "model_rgb.tflite",
        "model.onnx",
        "model_float16.onnx",
        "model_int8.onnx",
        "model.safetensors",
        "model.pt2",
        "contract.json",
        "labels.txt",
        "golden.npz",
        "manifest.json",
        "README.md",
        "sbom.cdx.json",
    }
    assert (release / "labels.txt").read_text().splitlines() == list(LABELS)


def test_the_manifest_proves_every_other_file_and_carries_the_facts(exports, data, tmp_path):
    release = made(exports, tmp_path / "release", data)
    manifest = json.loads((release / "manifest.json").read_text())
    found = {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    assert manifest["files"].keys() == found - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (release / name).read_bytes()
        assert entry == {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
    assert datetime.datetime.fromisoformat(manifest["created"]).utcoffset().total_seconds() == 0
    for name, value in {
        "model": "digits",
        "framework": "torch",
        "lineage": LINEAGE,
        "run_id": "run-1",
        "metrics": {"accuracy": 0.98},
        "data": {"good": 3},
    }.items():
        assert manifest[name] == value
    assert manifest["provenance"]["lock_sha256"] and manifest["provenance"]["code_sha256"]


def test_golden_inputs_are_held_out_images_with_the_sources_own_answers(exports, data, tmp_path):
    release = made(exports, tmp_path / "release", data)
    golden = np.load(release / "golden.npz")
    assert golden["image"].shape == (16, 8, 8, 1) and golden["image"].dtype == np.uint8
    assert golden["probabilities"].dtype == np.float32 and golden["label"].dtype == np.int64
    assert golden["tflite_int8"].shape == (16, 10)  # and what each artifact answers itself
    split = ImageArrays(data["arrays"]).split("test")
    stored = np.load(data["predictions"])["probabilities"]
    everything = split.images(np.arange(len(split)))
    for image, probabilities, label in zip(
        golden["image"], golden["probabilities"], golden["label"]
    ):
        rows = np.flatnonzero((everything == image).all((1, 2, 3)))
        assert any(np.array_equal(stored[r], probabilities) for r in rows)
        assert label in split.labels[rows]


def test_fewer_than_sixteen_test_images_are_all_golden(exports, tmp_path):
    arrays = digits_arrays(tmp_path / "few", 5)
    labels = ImageArrays(arrays).split("test").labels
    np.savez(tmp_path / "few.npz", probabilities=np.full((5, 10), 0.1), labels=labels)
    for path in exports.glob("golden/*.npy"):
        np.save(path, np.full((5, 10), 0.1, np.float32))
    data = {"arrays": arrays, "predictions": tmp_path / "few.npz"}
    release = made(exports, tmp_path / "release", data)
    assert len(np.load(release / "golden.npz")["image"]) == 5


@pytest.mark.parametrize(
    "labels",
    [
        ["plain", "with space ", "ümlaut"],
        ["new\nline", "carriage\rreturn", "line\u2028separator", "ends\n"],
        ["not \udcff utf-8", "back\\slash", "tab\t"],
    ],
)
def test_line_n_of_the_labels_file_is_always_label_n(labels):
    lines = labels_text(labels).decode("utf-8").splitlines()
    assert len(lines) == len(labels)
    for line, label in zip(lines, labels):
        clean = label.isprintable() or label.endswith("\t")
        assert line == label if clean else line != label


@pytest.mark.parametrize(
    "name", ["model.tflite", "model.onnx", "model.pt2", "saved_model/saved_model.pb"]
)
def test_a_missing_format_is_refused_by_name(exports, data, tmp_path, name):
    parity = parity_records(exports)
    (exports / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        made(exports, tmp_path / "release", data, parity=parity)
    assert not (tmp_path / "release").exists()


def test_latencies_go_into_the_manifest_where_they_were_measured(exports, data, tmp_path):
    times = {"onnx": {"1": {"p50": 0.1, "p99": 0.2, "calls": 50}}}
    for target, given, expected in (("one", times, times), ("two", None, {})):
        release = made(exports, tmp_path / target, data, latency=given)
        assert json.loads((release / "manifest.json").read_text())["latency"] == expected


def test_a_release_is_made_in_an_empty_folder_or_in_one_that_is_not_there(exports, data, tmp_path):
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "not/yet/there"):
        assert (made(exports, target, data) / "saved_model.pb").is_file()
    onnx = [record for record in parity_records(exports) if record["artifact"] == "onnx"]
    for target in (tmp_path / "not/yet/here", tmp_path / "second"):
        release = made(exports, target, data, parity=onnx)
        assert json.loads((release / "manifest.json").read_text())["formats"] == ["onnx"]


def test_without_one_verified_artifact_there_is_no_release(exports, data, tmp_path):
    with pytest.raises(ValueError, match="^torch has no verified artifact: export the model aga"):
        made(exports, tmp_path / "release", data, parity=[])


def test_formats_of_two_exports_are_not_mixed(exports, data, tmp_path):
    other = contracts.build(network("torch"), "torch-ffffffffffffffff")
    (exports / "contract.json").write_text(contracts.to_json(other))
    with pytest.raises(ValueError, match="different exports"):
        made(exports, tmp_path / "release", data)


def test_a_directory_in_use_predictions_of_other_data_and_clashing_extras_are_refused(
    exports, data, tmp_path
):
    with pytest.raises(ValueError, match="not empty"):
        made(exports, data["arrays"], data)
    for number, name in enumerate(("lineage", "files")):
        with pytest.raises(ValueError, match=f"extra names ..{name}.., which the manifest sets"):
            made(exports, tmp_path / f"first-{number}", data, extra={name: "mine"})
    np.savez(tmp_path / "other.npz", probabilities=np.ones((3, 10)), labels=np.zeros(3, int))
    with pytest.raises(ValueError, match="predict it again"):
        made(exports, tmp_path / "second", data, predictions=tmp_path / "other.npz")


@pytest.mark.parametrize(
    "name, kind",
    [
        ("model.onnx", "onnx"),
        ("model.tflite", "tflite"),
        ("saved_model/variables/variables.index", "saved_model"),
        ("saved_model/assets/added", "saved_model"),
    ],
)
def test_an_artifact_that_was_altered_after_its_verification_is_refused(
    exports, data, tmp_path, name, kind
):
    parity = parity_records(exports)
    (exports / name).parent.mkdir(exist_ok=True)
    (exports / name).write_text("another")
    with pytest.raises(ValueError, match=f"expected that of the verified {kind}"):
        made(exports, tmp_path / "release", data, parity=parity)


@pytest.mark.parametrize("row", range(6))
def test_an_artifact_that_did_not_pass_at_every_batch_size_is_refused(exports, data, tmp_path, row):
    whole = parity_records(exports)
    kind = whole[row]["artifact"]
    for other in (
        [],
        [whole[row] | {"passed": False}],
        [whole[row] | {"framework": "keras"}],
        [whole[row] | {"sha256": "0" * 64}],
    ):
        parity = whole[:row] + other + whole[row + 1 :]
        with pytest.raises(ValueError, match=f"torch's {kind} passed its verification at batch"):
            made(exports, tmp_path / "release", data, parity=parity)
    assert not (tmp_path / "release").exists()


def test_golden_answers_that_are_not_those_of_the_verification_are_refused(exports, data, tmp_path):
    parity = parity_records(exports)
    path = exports / "golden/onnx_int8.npy"
    answers = np.load(path)
    np.save(path, answers + 0.04)  # as far as the rounding of another batch size may lead
    made(exports, tmp_path / "near", data, parity=parity)
    for record in parity:
        if record["artifact"] == "onnx_int8":  # as far as just allowed
            record["max_difference"] = float(np.abs(answers + 0.04 - answers).max())
            record["max_difference"] -= TOLERANCES["int8"]
    made(exports, tmp_path / "just", data, parity=parity)
    wrongs = np.roll(answers, 1, axis=1), answers[:-1], answers * np.nan
    for number, wrong in enumerate(wrongs):
        np.save(path, wrong)
        with pytest.raises(ValueError, match="golden images differ by more than .* onnx_int8"):
            made(exports, tmp_path / f"{number}", data, parity=parity)


def test_a_contract_that_is_not_the_one_inside_the_artifacts_is_refused(exports, data, tmp_path):
    parity = [r for r in parity_records(exports) if r["artifact"] == "onnx"]
    contract = json.loads((exports / "contract.json").read_text())
    labels = contract["labels"][::-1]
    (exports / "contract.json").write_text(contracts.to_json(contract | {"labels": labels}))
    with pytest.raises(
        ValueError,
        match="onnx was verified with another contract .* beside it: export the model again.$",
    ):
        made(exports, tmp_path / "release", data, parity=parity)


def test_nan_never_gets_into_a_manifest(exports, data, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        made(exports, tmp_path / "release", data, metrics={"accuracy": float("nan")})


def test_bundling_needs_no_framework():
    script = """
import sys
import export.release.bundle
loaded = {"tensorflow", "keras", "torch", "tfx", "onnx", "huggingface_hub"} & sys.modules.keys()
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
