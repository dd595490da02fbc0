"""The serving core: it serves exactly what was released, or says why not."""

import json

import numpy as np
import pytest

from serving.inference.errors import InvalidRequest, NotServable, TooLarge
from serving.inference.model import Model
from serving.inference.onnx_runtime import open_session
from serving.store.release import Release
from tests.helpers.serving_fixtures import contract, digits, digits_release, expected, seal


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(Release("digits", 3, digits_release(tmp_path_factory.mktemp("release") / "3")))


def test_a_release_is_served_with_its_own_outputs(model):
    images, labels = digits()
    probabilities = model.infer(images[500:564])
    assert probabilities.dtype == np.float32 and probabilities.shape == (64, 10)
    np.testing.assert_allclose(probabilities, expected(images[500:564]), atol=1e-5)
    assert (probabilities.argmax(1) == labels[500:564]).mean() > 0.8
    assert (model.name, model.version, model.labels[9]) == ("digits", "3", "9")
    assert model.provider in ("CPU", "CUDA")


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((1, 8, 8, 1), np.float32), InvalidRequest, "float32, expected uint8"),
        (np.zeros((1, 8, 8), np.uint8), InvalidRequest, r"expected \[-1, 8, 8, 1\]"),
        (np.zeros((1, 9, 8, 1), np.uint8), InvalidRequest, r"shape \[1, 9, 8, 1\]"),
        (np.zeros((0, 8, 8, 1), np.uint8), InvalidRequest, "at least one image"),
        (
            np.zeros((65, 8, 8, 1), np.uint8),
            TooLarge,
            "65 images in one request, at most 64",
        ),
    ],
)
def test_what_the_contract_does_not_allow_is_refused(model, images, error, message):
    with pytest.raises(error, match=message):
        model.infer(images)


def test_a_model_that_does_not_give_its_golden_outputs_is_refused_in_one_sentence(
    tmp_path,
):
    release = Release("digits", 1, digits_release(tmp_path / "1", scale=1.01))
    with pytest.raises(NotServable, match=r"^version 1 of digits does not give") as caught:
        Model(release)
    assert "\n" not in str(caught.value) and "at most 1e-04" in str(caught.value)


def test_a_run_that_allowed_its_export_more_is_still_served(tmp_path):
    directory = digits_release(tmp_path / "1", scale=1.01)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["parity"] = [{"artifact": "onnx", "max_difference": 0.1}]
    (directory / "manifest.json").write_text(json.dumps(manifest))
    assert Model(Release("digits", 1, directory)).version == "1"


def _nan_golden(directory):
    with np.load(directory / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["probabilities"][0, 0] = np.nan
    np.savez(directory / "golden.npz", **arrays)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_nan_golden, "does not give its golden outputs"),
        (lambda d: (d / "model.onnx").write_bytes(b"junk"), "it is no ONNX model"),
        (lambda d: (d / "golden.npz").write_bytes(b"junk"), r"golden\.npz"),
        (lambda d: (d / "golden.npz").unlink(), r"golden\.npz"),
        (lambda d: (d / "contract.json").write_text("{}"), "incomplete"),
        (
            lambda d: (d / "contract.json").write_text(json.dumps(contract(16, 16))),
            "its contract",
        ),
        (
            lambda d: (d / "contract.json").write_text(json.dumps(contract(labels="abc"))),
            "3 labels",
        ),
    ],
)
def test_a_consistent_but_unservable_release_is_refused_in_one_sentence(tmp_path, damage, message):
    directory = digits_release(tmp_path / "1")
    damage(directory)
    seal(directory)
    with pytest.raises(NotServable, match=message) as caught:
        Model(Release("digits", 1, directory))
    assert "\n" not in str(caught.value)


def test_a_tampered_release_is_refused(tmp_path):
    directory = digits_release(tmp_path / "1")
    (directory / "labels.txt").write_text("other")
    with pytest.raises(NotServable, match=r"labels\.txt was altered"):
        Model(Release("digits", 1, directory))


def test_the_number_of_threads_reaches_the_session(tmp_path):
    path = digits_release(tmp_path / "1") / "model.onnx"
    assert open_session(path, 1).get_session_options().intra_op_num_threads == 1
