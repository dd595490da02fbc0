"""`python -m export` on both frameworks: every artifact, their contracts, and the verdict."""

import contextlib
import functools
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from PIL import Image

from components.data.arrays import ImageArrays
from export.formats import contract as contracts
from export.verification import held_out
from export.verification.runtimes import open_artifact
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import FORMATS, sha256
from tests.helpers.export_data import (
    LABELS,
    digits_arrays,
    keras_probabilities,
    network,
    random_module,
    random_weights,
    torch_probabilities,
    transform_graph,
    write_predictions,
)

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = ("keras", "torch")
ARTIFACTS = [
    (framework, artifact)
    for framework in FRAMEWORKS
    for artifact in contracts.formats(network(framework))
]


def start_export(directory: Path, **changes) -> subprocess.Popen:
    values = {
        "models": {name: str(directory / name) for name in FRAMEWORKS},
        "arrays": str(directory / "arrays"),
        "predictions": {name: str(directory / f"{name}_predictions") for name in FRAMEWORKS},
        "transform_graph": str(directory / "transform"),
        "output": str(directory / "out"),
        "export": {},
    } | changes
    path = directory / "args.json"
    path.write_text(json.dumps(values))
    environment = {k: v for k, v in os.environ.items() if k != "DARKROOM_CONSOLE_FD"}
    return subprocess.Popen(
        [sys.executable, "-m", "export", str(path)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Model directories of both frameworks, with other weights each, exported together."""
    from components.networks import keras_model, torch_model
    from export.formats import twin

    directory = tmp_path_factory.mktemp("export")
    arrays = digits_arrays(directory / "arrays", test=40, val=220, train=300)
    for seed, framework in enumerate(FRAMEWORKS):
        description = network(framework)
        if framework == "keras":
            model = twin.to_keras(random_weights(description, seed), description)
            keras_model.save(model, description, directory / framework)
            predict = functools.partial(keras_probabilities, model)
        else:
            module = random_module(description, seed)
            torch_model.save(module, description, directory / framework)
            predict = functools.partial(torch_probabilities, module)
        write_predictions(directory / f"{framework}_predictions", arrays, predict)
    transform_graph(directory / "transform")
    export = start_export(directory)
    errors = export.communicate()[1]
    assert export.returncode == 0, errors
    return directory


def path_of(work, framework, artifact) -> Path:
    return work / "out" / framework / FORMATS[artifact].file


def test_every_artifact_agrees_with_its_own_source_at_every_batch_size(work):
    records = json.loads((work / "out/parity.json").read_text())
    found = [(r["framework"], r["artifact"], r["batch"]) for r in records]
    assert found == [(*pair, batch) for pair in ARTIFACTS for batch in (1, 7, 64)]
    for record in records:
        assert record["error"] is None, record
        assert record["images"] == 256 and record["bytes"] > 30_000
        assert record["sha256"] == sha256(path_of(work, record["framework"], record["artifact"]))
        if FORMATS[record["artifact"]].precision == "float32":
            assert record["passed"] and record["max_difference"] < 1e-5, record
            assert record["agreement"] == 1.0 and record["accuracy"] == record["source_accuracy"]
        else:  # these weights are random, so that many answers are close to another
            assert record["max_difference"] < 0.1 and record["agreement"] > 0.9, record
    whole = work / "out/keras/saved_model"
    assert records[0]["bytes"] == sum(p.stat().st_size for p in whole.rglob("*") if p.is_file())


def test_latencies_of_all_artifacts_are_measured_side_by_side(work):
    found = json.loads((work / "out/latency.json").read_text())
    assert {(f, name) for f, of in found.items() for name in of} == set(ARTIFACTS)
    for framework, name in ARTIFACTS:
        for batch in ("1", "32"):
            times = found[framework][name][batch]
            assert 0 < times["p50"] <= times["p99"] and times["calls"] >= 20


def test_each_artifact_leaves_its_answers_to_the_golden_images(work):
    test = np.load(work / "keras_predictions/test.npz")["probabilities"]
    rows = held_out.golden_rows(40)
    for name in contracts.formats(network("keras")):
        answers = np.load(work / f"out/keras/golden/{name}.npy")
        least = 1e-5 if FORMATS[name].precision == "float32" else 0.1
        np.testing.assert_allclose(answers, test[rows], atol=least)


@pytest.mark.parametrize("framework, artifact", ARTIFACTS)
def test_contract_and_lineage_are_inside_every_artifact(work, framework, artifact):
    contract = json.loads((work / "out" / framework / "contract.json").read_text())
    # Opening a SavedModel as parity does sets threads, for which TensorFlow runs too long already.
    path = path_of(work, framework, artifact)
    if artifact == "saved_model":
        inside = json.loads((path / "assets.extra/contract.json").read_text())
    elif artifact == "keras":
        with zipfile.ZipFile(path) as archive:
            inside = json.loads(archive.read("contract.json"))
    else:
        inside = open_artifact(artifact, path, threads=1).contract
    assert inside == contract
    assert contract["framework"] == framework
    assert contract["lineage"].startswith(f"{framework}-")
    assert contract["labels"] == list(LABELS)
    assert ImageSpec.from_dict(contract["image_spec"]) == network(framework).spec
    assert contract["input"] == {
        "name": "image",
        "dtype": "uint8",
        "shape": [None, 8, 8, 1],
    }
    assert contract["output"] == {
        "name": "probabilities",
        "dtype": "float32",
        "shape": [None, 10],
    }


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_onnx_is_one_file_of_the_stated_opset_without_traces_of_the_machine(work, framework):
    from export.formats.onnx import OPSET

    path = path_of(work, framework, "onnx")
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    properties = {p.key: p.value for p in model.metadata_props}
    assert {"contract", "lineage"} < properties.keys()
    assert properties["Image.BitmapPixelFormat"] == "Gray8"
    assert properties["Image.ColorSpaceGamma"] == "SRGB"
    assert properties["Image.NominalPixelRange"] == "NominalRange_0_255"
    assert b"site-packages" not in path.read_bytes()
    assert str(ROOT).encode() not in path.read_bytes()
    assert not any("Dropout" in node.op_type for node in model.graph.node)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tflite_has_builtin_operations_only_and_answers_any_batch_size(work, framework):
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    path = path_of(work, framework, "tflite")
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert all(code.CustomCode() is None for code in codes)
    assert all(code.BuiltinCode() != schema.BuiltinOperator.READ_VARIABLE for code in codes)
    runner = Interpreter(str(path), num_threads=1).get_signature_runner("serving_default")
    images, _ = next(ImageArrays(work / "arrays").split("test").batches(33))
    whole = runner(image=images)["probabilities"]
    for rows in (slice(0, 1), slice(1, 33), slice(0, 5)):
        np.testing.assert_allclose(
            runner(image=images[rows])["probabilities"], whole[rows], atol=1e-6
        )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tflite_weights_keep_the_alignment_the_schema_demands(work, framework):
    from ai_edge_litert import schema_py_generated as schema

    content = np.frombuffer(path_of(work, framework, "tflite").read_bytes(), np.uint8)
    model = schema.Model.GetRootAs(content, 0)
    start = content.__array_interface__["data"][0]
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    offsets = [
        buffer.DataAsNumpy().__array_interface__["data"][0] - start
        for buffer in buffers
        if not buffer.DataIsNone()
    ]
    assert offsets and all(offset % 16 == 0 for offset in offsets)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_saved_model_signatures_give_the_same_for_pixels_and_for_files(work, framework):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path_of(work, framework, "saved_model")))
    assert set(loaded.signatures) == {"serving_default", "serving_bytes"}
    images, _ = next(ImageArrays(work / "arrays").split("test").batches(9))
    expected = np.load(work / f"{framework}_predictions/test.npz")["probabilities"][:9]
    pixels = loaded.signatures["serving_default"](image=tf.constant(images))
    files = loaded.signatures["serving_bytes"](image_bytes=tf.constant([png(i) for i in images]))
    np.testing.assert_allclose(pixels["probabilities"].numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(files["probabilities"].numpy(), expected, atol=1e-5)
    large = encoded(np.kron(images[0, :, :, 0], np.ones((5, 5), np.uint8)), "JPEG")
    answer = loaded.signatures["serving_bytes"](image_bytes=tf.constant([large]))
    assert answer["probabilities"].numpy().argmax() == expected[0].argmax()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_saved_model_is_float32_inference_and_nothing_of_training(work, framework):
    from tensorflow.core.protobuf import saved_model_pb2

    content = (path_of(work, framework, "saved_model") / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    operations = set(re.findall(r'^ +op: "(.*)"$', str(graph.graph_def), re.MULTILINE))
    assert {"Conv2D", "Softmax"} <= operations
    assert not [op for op in operations if "Random" in op or "Dropout" in op or "Grad" in op]
    variables = [
        node.variable for node in graph.object_graph_def.nodes if node.HasField("variable")
    ]
    weights = sum(np.prod([d.size for d in v.shape.dim]) for v in variables)
    assert weights == sum(a.size for a in random_weights(network(framework)).values())
    assert {v.dtype for v in variables} == {1}  # DT_FLOAT


def test_without_a_transform_graph_there_is_no_bytes_signature_and_one_framework_is_enough(
    work,
):
    """In this process, as a start of Python with TensorFlow is what takes the time."""
    import tensorflow as tf

    from export.formats import saved_model, twin
    from export.formats.inference import inference

    description = network("keras")
    model = twin.to_keras(random_weights(description), description)
    contract = contracts.build(description, "keras-0000000000000000")
    path = saved_model.write(inference(model, description.architecture), contract, work / "plain")
    assert set(tf.saved_model.load(str(path)).signatures) == {"serving_default"}


def test_a_failing_export_ends_with_one_sentence_naming_framework_and_format(work, tmp_path):
    broken = tmp_path / "torch"
    broken.mkdir()
    (broken / "network.json").write_text((work / "torch/network.json").read_text())
    export = start_export(work, models={"torch": str(broken)}, output=str(tmp_path / "out"))
    line = export.communicate()[1].strip().splitlines()[-1]
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
    export = start_export(work, models=models, output=str(output))
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


def png(image: np.ndarray) -> bytes:
    return encoded(image[:, :, 0], "PNG")


def encoded(pixels: np.ndarray, form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()
