"""Parity passes what is equal and nothing else: altered weights, NaN, foreign files, crashes."""

import functools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.base.fingerprint import ROOT
from components.data.arrays import ImageArrays
from export.formats import contract as contracts
from export.verification import parity, verify
from export.verification.config import ExportConfig
from export.verification.held_out import HeldOut
from serving.contract.release_files import FORMATS, sha256
from tests.helpers.export_data import (
    digits_arrays,
    keras_probabilities,
    network,
    random_weights,
    write_predictions,
)

LINEAGE = "keras-0123456789abcdef"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A Keras network in all three formats, its arrays and its own predictions."""
    from export.formats import onnx as onnx_format
    from export.formats import saved_model, tflite, twin
    from export.formats.inference import inference

    directory = tmp_path_factory.mktemp("parity")
    description = network("keras")
    model = twin.to_keras(random_weights(description), description)
    contract = contracts.build(description, LINEAGE)
    module = inference(model, description.architecture)
    saved_model.write(module, contract, directory / "saved_model")
    tflite.convert(directory / "saved_model", contract, directory / "model.tflite")
    onnx_format.export_keras(module, contract, directory / "model.onnx")
    arrays = digits_arrays(directory / "arrays", test=60, val=240)
    predict = functools.partial(keras_probabilities, model)
    write_predictions(directory / "predictions", arrays, predict)
    return directory


def arguments(directory, artifact, **changes) -> parity.ParityArgs:
    values = {
        "artifact": artifact,
        "path": directory / FORMATS[artifact].file,
        "arrays": directory / "arrays",
        "predictions": directory / "predictions",
        "images": 100,
        "lineage": LINEAGE,
        "output": directory / "records.json",
    }
    return parity.ParityArgs(**values | changes)


def judged(args: parity.ParityArgs) -> list[dict]:
    records = parity.measure(args)
    return [verify.judge({"framework": "keras"} | record, ExportConfig()) for record in records]


@pytest.mark.parametrize("artifact", ["tflite", "onnx"])
def test_an_artifact_equal_to_its_source_passes_at_every_batch_size(exported, artifact):
    records = judged(arguments(exported, artifact))
    assert [record["batch"] for record in records] == [1, 7, 64]
    assert [record["images"] for record in records] == [100, 100, 100]
    for record in records:
        assert record["error"] is None and record["passed"]
        assert record["max_difference"] < 1e-5 and record["agreement"] == 1.0
        path = exported / FORMATS[artifact].file
        assert record["bytes"] == path.stat().st_size and record["sha256"] == sha256(path)


def test_onnx_and_tflite_are_verified_without_tensorflow_and_pytorch(exported):
    script = """
import json, sys
from export.verification import parity
for text in json.loads(sys.argv[1]):
    args = parity.ParityArgs.model_validate_json(text)
    assert all(record["error"] is None for record in parity.measure(args)), args
loaded = {"tensorflow", "keras", "torch", "tfx"} & sys.modules.keys()
assert not loaded, loaded
"""
    values = json.dumps(
        [arguments(exported, artifact).model_dump_json() for artifact in ("onnx", "tflite")]
    )
    subprocess.run([sys.executable, "-c", script, values], cwd=ROOT, check=True)


def altered_onnx(exported, tmp_path, value: float) -> str:
    """The ONNX file with `value` added to the bias of one class."""
    model = onnx.load(exported / "model.onnx")
    (bias,) = (tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    array = onnx.numpy_helper.to_array(bias).copy()
    array[3] += value
    bias.CopyFrom(onnx.numpy_helper.from_array(array, bias.name))
    onnx.save(model, tmp_path / "altered.onnx")
    return str(tmp_path / "altered.onnx")


def test_one_altered_onnx_weight_fails(exported, tmp_path):
    records = judged(arguments(exported, "onnx", path=altered_onnx(exported, tmp_path, 0.01)))
    assert [record["passed"] for record in records] == [False, False, False]
    assert all(record["max_difference"] > 1e-4 for record in records)


def test_one_altered_tflite_weight_fails(exported, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray((exported / "model.tflite").read_bytes())
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(1, model.BuffersLength())]
    (bias,) = (b for b in buffers if isinstance(b, np.ndarray) and len(b) == 10 * 4)
    bias.view(np.float32)[3] += 0.01
    (tmp_path / "altered.tflite").write_bytes(content)
    records = judged(arguments(exported, "tflite", path=str(tmp_path / "altered.tflite")))
    assert [record["passed"] for record in records] == [False, False, False]


def altered_predictions(exported, tmp_path, change) -> str:
    """The predictions with those of the split val changed: `change(probabilities, labels)`."""
    directory = shutil.copytree(exported / "predictions", tmp_path / "predictions")
    with np.load(directory / "val.npz") as stored:
        probabilities, labels = change(stored["probabilities"], stored["labels"])
    np.savez(directory / "val.npz", probabilities=probabilities, labels=labels)
    return str(directory)


def test_nan_never_passes_wherever_it_comes_from(exported, tmp_path):
    path = altered_onnx(exported, tmp_path, float("nan"))
    records = judged(arguments(exported, "onnx", path=path))
    assert all(not record["passed"] and "not finite" in record["error"] for record in records)

    other = altered_predictions(exported, tmp_path, lambda p, labels: (p * np.nan, labels))
    records = judged(arguments(exported, "onnx", predictions=other))
    assert all(not record["passed"] and "not finite" in record["error"] for record in records)

    good = records[0] | {"error": None, "max_difference": 0.0, "agreement": 1.0}
    good |= {"accuracy": 0.9, "source_accuracy": 0.9}
    assert verify.judge(good, ExportConfig())["passed"]
    for number in (float("nan"), None):
        for key in ("max_difference", "agreement", "accuracy"):
            assert not verify.judge(good | {key: number}, ExportConfig())["passed"]


def test_an_artifact_that_its_runtime_cannot_load_is_a_failed_record(exported, tmp_path):
    broken = shutil.copytree(exported / "saved_model", tmp_path / "saved_model")
    (broken / "variables/variables.data-00000-of-00001").write_bytes(b"")
    args = arguments(exported, "saved_model", path=str(broken))
    records = verify.verify_artifact(args, "keras", ExportConfig())
    assert [record["passed"] for record in records] == [False, False, False]
    assert all(record["error"] and record["max_difference"] is None for record in records)


def test_a_process_that_ends_without_records_measured_nothing(exported, tmp_path, monkeypatch):
    values = arguments(exported, "onnx", predictions=str(tmp_path / "none"))
    with pytest.raises(verify.NotMeasured, match="FileNotFoundError: .*none/test.npz"):
        verify.verify_artifact(values, "keras", ExportConfig())

    os.mkfifo(tmp_path / "endless.onnx")  # Whoever reads it waits for ever.
    values = arguments(exported, "onnx", path=str(tmp_path / "endless.onnx"))
    monkeypatch.setattr(verify, "CHILD_SECONDS", 2)
    with pytest.raises(verify.NotMeasured, match="did not end within 2 s"):
        verify.verify_artifact(values, "keras", ExportConfig())


def test_a_file_that_is_not_there_is_a_failed_record(exported, tmp_path):
    for artifact in ("tflite", "onnx"):
        records = judged(arguments(exported, artifact, path=str(tmp_path / "none")))
        assert all(not record["passed"] and record["error"] for record in records)


def test_another_lineage_other_labels_or_another_size_is_refused(exported, tmp_path):
    (record, *_) = judged(arguments(exported, "onnx", lineage="keras-ffffffffffffffff"))
    assert "lineage" in record["error"] and not record["passed"]

    arrays = shutil.copytree(exported / "arrays", tmp_path / "arrays")
    (arrays / "labels.json").write_text(json.dumps(list("9876543210")))
    (record, *_) = judged(arguments(exported, "onnx", arrays=str(arrays)))
    assert "labels" in record["error"] and not record["passed"]

    spec = json.loads((arrays / "image_spec.json").read_text()) | {"width": 9}
    (arrays / "image_spec.json").write_text(json.dumps(spec))
    (record, *_) = judged(arguments(exported, "tflite", arrays=str(arrays)))
    assert "input" in record["error"] and not record["passed"]


def test_predictions_of_another_split_are_refused(exported, tmp_path):
    short = altered_predictions(exported, tmp_path, lambda p, labels: (p[:-1], labels[:-1]))
    with pytest.raises(ValueError, match=r"val\.npz .*: predict it again"):
        parity.measure(arguments(exported, "onnx", predictions=short))


def test_fewer_images_than_asked_for_are_all_used_and_batch_64_is_still_run(exported, tmp_path):
    with np.load(exported / "predictions/test.npz") as stored:
        seven = stored["probabilities"][:7]
    predictions = tmp_path / "predictions"
    arrays = digits_arrays(tmp_path / "arrays", test=4, val=3)
    predictions.mkdir()
    labels = [ImageArrays(arrays).split(name).labels for name in ("test", "val")]
    np.savez(predictions / "test.npz", probabilities=seven[:4], labels=labels[0])
    np.savez(predictions / "val.npz", probabilities=seven[4:], labels=labels[1])
    for artifact in ("tflite", "onnx"):
        changes = {"arrays": str(arrays), "predictions": str(predictions)}
        records = judged(arguments(exported, artifact, **changes))
        assert [(r["batch"], r["images"], r["passed"]) for r in records] == [
            (1, 7, True),
            (7, 7, True),
            (64, 7, True),
        ]


def test_one_image_that_differs_is_enough_whatever_the_others_do(exported):
    arrays = ImageArrays(exported / "arrays")
    held = HeldOut(arrays, exported / "predictions", 100)
    answers = held.probabilities.copy()
    answers[41, held.probabilities[41].argmax()] -= 2e-4

    def altered(images: np.ndarray) -> np.ndarray:
        rows = [(whole == image).all((1, 2, 3)).argmax() for image in images]
        return answers[rows]

    whole = held.images(np.arange(len(held)))
    rows = np.arange(len(held))
    for batch in (1, 7, 64):
        measured = parity.compare({"image": altered}, held, rows, batch)
        assert measured["max_difference"] == pytest.approx(2e-4, rel=1e-3)
        assert measured["mean_difference"] == pytest.approx(2e-6, rel=1e-3)
    good = {"framework": "keras", "artifact": "onnx", "batch": 64, "error": None}
    assert not verify.judge(good | measured, ExportConfig())["passed"]


@pytest.mark.parametrize("change", ["logits", "doubled", "negative"])
def test_what_no_softmax_gives_is_refused_in_reduced_precision_too(exported, change):
    """Where the largest one is right, that it is no probability would go unseen."""
    held = HeldOut(ImageArrays(exported / "arrays"), exported / "predictions", 100)
    answers = {
        "logits": np.log(held.probabilities),
        "doubled": 2 * held.probabilities,
        "negative": 2 * held.probabilities - 0.1,
    }[change]
    whole = held.images(np.arange(len(held)))

    def altered(images: np.ndarray) -> np.ndarray:
        return answers[[(whole == image).all((1, 2, 3)).argmax() for image in images]]

    with pytest.raises(ValueError, match="expected probabilities that add up to 1"):
        parity.compare({"image": altered}, held, np.arange(len(held)), 64)


def test_which_of_two_equal_probabilities_comes_first_is_no_disagreement(exported):
    held = HeldOut(ImageArrays(exported / "arrays"), exported / "predictions", 100)
    held.probabilities[:] = 0.1
    held.probabilities[:, 3] += 1e-6
    swapped = np.full((100, 10), 0.1, np.float32)
    swapped[:, 7] += 1e-6
    signatures = {"image": lambda images: swapped[: len(images)]}
    rows = np.arange(100)
    tied = parity.compare(signatures, held, rows, 64, tie=1e-4)
    assert tied["agreement"] == 1.0 and tied["accuracy"] == tied["source_accuracy"]
    assert parity.compare(signatures, held, rows, 64, tie=0.0)["agreement"] == 0.0
    held.probabilities[:, 3] += 1e-3  # and here one class does come first
    assert parity.compare(signatures, held, rows, 64, tie=1e-4)["agreement"] == 0.0


@given(count=st.integers(1, 300), batch=st.sampled_from([1, 2, 32]))
def test_batches_cover_every_image_at_the_full_size_and_end_with_a_shorter_one(count, batch):
    groups = list(parity.batches(count, batch))
    assert {int(row) for group in groups for row in group} == set(range(count))
    sizes = [len(group) for group in groups]
    assert sizes.count(batch) >= 1
    if batch > 1:
        assert sizes[-1] < batch and set(sizes[:-1]) == {batch}
