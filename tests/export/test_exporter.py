"""`python -m export` on both frameworks: every artifact, their contracts, and the verdict."""

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from components.data.arrays import ImageArrays
from export.formats import contract as contracts
from export.formats import embedded
from export.verification import held_out
from export.verification.runtimes import open_artifact
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import FORMATS, sha256
from tests.helpers.export_data import (
    LABELS,
    network,
    random_weights,
)
from tests.helpers.serving_fixtures import seal
from tests.helpers.small_exports import FRAMEWORKS, ingredients, run_export

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = [
    (framework, artifact)
    for framework in FRAMEWORKS
    for artifact in contracts.formats(network(framework))
]


@pytest.fixture(scope="module")
def work(tmp_path_factory, warm_processes):
    """Model directories of both frameworks, with other weights each, exported together."""
    directory = ingredients(tmp_path_factory.mktemp("export"))
    export = run_export(directory)
    assert export.returncode == 0, export.stderr
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


def test_every_artifact_says_which_model_it_is_to_a_reader_without_its_library(work):
    for framework, artifact in ARTIFACTS:
        path, row = path_of(work, framework, artifact), FORMATS[artifact]
        contract = json.loads((work / "out" / framework / "contract.json").read_text())
        found = embedded.read(path)
        assert found.contract == contracts.inside(contract, row), artifact
        assert found.lineage == contract["lineage"] and found.title in row.title, artifact


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
    if FORMATS[artifact].from_grey:
        assert inside["input"]["shape"] == [None, 8, 8, 3]
        inside |= {key: contract[key] for key in ("input", "preprocessing")}
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


def test_warm_up_requests_are_answered_by_the_signatures_they_name(work):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    from export.formats.saved_model import WARMUP

    path = path_of(work, "torch", "saved_model")
    loaded = tf.saved_model.load(str(path))
    seen = []
    for record in tf.data.TFRecordDataset(str(path / WARMUP)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        ((name, proto),) = request.inputs.items()
        signature = request.model_spec.signature_name
        given = tf.constant(tf.make_ndarray(proto), loaded.signatures[signature].inputs[0].dtype)
        answer = loaded.signatures[signature](**{name: given})["probabilities"]
        seen.append((signature, answer.shape[0]))
    both = ("serving_default", "serving_bytes")
    assert seen == [(signature, batch) for signature in both for batch in (1, 8)]


def test_a_release_is_checked_against_its_golden_answers_and_a_wrong_one_is_named(work, tmp_path):
    from export.release.bundle import bundle

    parity = [r for r in json.loads((work / "out/parity.json").read_text())]
    parity = [r | {"passed": True} for r in parity if r["framework"] == "torch"]
    chosen = ("onnx", "tflite", "onnx_int8")
    release = bundle(
        work / "out/torch", tmp_path / "release", name="digits", run_id="1",
        arrays=work / "arrays", predictions=work / "torch_predictions/test.npz",
        metrics={}, gates=[], parity=[r for r in parity if r["artifact"] in chosen],
    )  # fmt: skip
    done = checked(release)
    assert done.returncode == 0 and not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(" agrees " in line for line in lines)

    model = onnx.load(release / "model.onnx")
    (bias,) = (tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    array = onnx.numpy_helper.to_array(bias) + np.eye(10, dtype=np.float32)[3]
    bias.CopyFrom(onnx.numpy_helper.from_array(array, bias.name))
    onnx.save(model, release / "model.onnx")
    refused = checked(release)
    assert refused.returncode == 2 and "model.onnx was altered" in refused.stderr
    seal(release)  # as somebody would who means it
    manifest = json.loads((release / "manifest.json").read_text()) | {"formats": list(chosen)}
    (release / "manifest.json").write_text(json.dumps(manifest))
    differs = checked(release)
    assert differs.returncode == 3
    assert re.search("ONNX +differs +largest difference .* on 16 images", differs.stdout)
    assert len(re.findall("agrees", differs.stdout)) == 2


def checked(release: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "export.check", str(release)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def png(image: np.ndarray) -> bytes:
    return encoded(image[:, :, 0], "PNG")


def encoded(pixels: np.ndarray, form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()
