"""An artifact of a release against its golden answers, on hand-made ONNX files."""

import json

import numpy as np
import pytest

from export.verification import replay
from export.verification.runtimes import Opened
from serving.contract.release_files import FORMATS
from serving.inference.errors import RuntimeMissing
from tests.helpers.onnx_files import write_onnx
from tests.helpers.serving_fixtures import contract, digits, expected, onnx_bytes


@pytest.fixture
def release(tmp_path):
    """ONNX in float32 and int8, whose own answer to the second image is a little another one."""
    images, _ = digits()
    answers = expected(images[:16])
    reduced = answers.copy()
    reduced[1, 0] += 0.01
    np.savez(tmp_path / "golden.npz", image=images[:16], probabilities=answers, onnx_int8=reduced)
    (tmp_path / "contract.json").write_text(json.dumps(contract()))
    for name in ("onnx", "onnx_int8"):
        write_onnx(tmp_path / FORMATS[name].file, onnx_bytes(), contract())
    return tmp_path


def replayed(release, artifact: str = "onnx") -> dict:
    args = replay.ReplayArgs(release=release, artifact=artifact, output=release / "found.json")
    replay.main(args)
    return json.loads((release / "found.json").read_text())


def test_float32_agrees_with_the_source_and_int8_with_what_it_answered_before(release):
    found = replayed(release)
    assert 0 < found.pop("max_difference") < 1e-5
    assert found == {"state": "agrees", "images": 16, "reason": ""}
    found = replayed(release, "onnx_int8")
    assert found.pop("max_difference") == pytest.approx(0.01, abs=1e-5)
    assert found == {"state": "agrees", "images": 16, "reason": ""}


def test_one_answer_too_far_off_differs(release):
    with np.load(release / "golden.npz") as golden:
        stored = dict(golden)
    stored["probabilities"][9, 4] -= 3e-4
    np.savez(release / "golden.npz", **stored)
    found = replayed(release)
    assert found.pop("max_difference") == pytest.approx(3e-4, abs=1e-5)
    reason = "expected a difference of at most 0.0002"
    assert found == {"state": "differs", "images": 16, "reason": reason}


def test_the_largest_difference_that_is_allowed_is_allowed(release, monkeypatch):
    images, _ = digits()
    nothing = np.zeros((16, 10), np.float32)
    np.savez(release / "golden.npz", image=images[:16], probabilities=nothing)
    opened = Opened({"image": lambda _: np.full((16, 10), 2e-4)}, {}, {}, {})
    monkeypatch.setattr(replay, "open_artifact", lambda *_: opened)
    assert replayed(release) == {
        "state": "agrees",
        "images": 16,
        "max_difference": 2e-4,
        "reason": "",
    }


def test_what_is_not_a_number_differs(release):
    write_onnx(release / "model.onnx", onnx_bytes(float("nan")), contract())
    found = replayed(release)
    assert found["state"] == "differs" and found["max_difference"] == float("inf")


def test_an_artifact_without_answers_or_that_does_not_run_differs(release):
    assert replayed(release, "onnx_float16") == {
        "state": "differs",
        "images": 16,
        "max_difference": None,
        "reason": "golden.npz holds no answers of onnx_float16",
    }
    (release / "model.onnx").write_bytes(b"junk")
    found = replayed(release)
    assert found.pop("reason").startswith("it does not run: ONNX Runtime cannot load ")
    assert found == {"state": "differs", "images": 16, "max_difference": None}


@pytest.mark.parametrize("error", [ImportError(), RuntimeMissing("model.onnx", "onnxruntime")])
def test_an_artifact_whose_runtime_is_missing_is_unchecked(release, monkeypatch, error):
    def missing(*_):
        raise error

    monkeypatch.setattr(replay, "open_artifact", missing)
    assert replayed(release) == {
        "state": "unchecked",
        "images": 16,
        "max_difference": None,
        "reason": "onnxruntime is not installed",
    }


def test_the_worst_of_all_signatures_counts_and_files_go_to_the_one_that_takes_files(
    release, monkeypatch
):
    """As a SavedModel has two of them."""
    with np.load(release / "golden.npz") as golden:
        images, answers = golden["image"], golden["probabilities"]
    opened = []

    def from_files(files):
        assert len(files) == 16 and all(file.startswith(b"\x89PNG") for file in files)
        return answers + np.float32(1e-4)

    def from_images(given):
        np.testing.assert_array_equal(given, images)
        return answers + np.float32(5e-5)

    both = {"image_bytes": from_files, "image": from_images}
    for signatures in (both, dict(reversed(both.items()))):

        def open_artifact(name, path, threads, signatures=signatures):
            opened.append((name, path, threads))
            return Opened(signatures, {}, {}, {})

        monkeypatch.setattr(replay, "open_artifact", open_artifact)
        found = replayed(release, "saved_model")
        assert found["state"] == "agrees"
        assert found["max_difference"] == pytest.approx(1e-4, abs=1e-6)
    assert opened == [("saved_model", release, 2)] * 2
