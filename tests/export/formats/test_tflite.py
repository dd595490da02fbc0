"""TFLite of every precision: what it answers, what is inside, and that bytes are the same."""

import io
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image
from sklearn.datasets import load_digits

from components.networks import keras_model
from export.formats import contract as contracts
from export.formats import tflite, tflite_metadata, tflite_rgb, twin
from export.formats.quantised_tflite import quantise
from export.formats.tflite_file import opened
from export.formats.trained_model import TrainedModel
from export.verification.runtimes import open_artifact
from serving.contract.release_files import FORMATS
from tests.helpers.export_data import (
    LABELS,
    digits_arrays,
    keras_probabilities,
    network,
    random_weights,
)

NAMES = ("tflite", "tflite_float16", "tflite_dynamic_int8", "tflite_int8")
CLOSE = dict(zip(NAMES, (1e-5, 5e-3, 0.1, 0.1)))


@pytest.fixture(scope="module")
def images():
    digits = load_digits().images[:70] * 255 / 16
    return digits.round().astype(np.uint8)[:, :, :, None]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tflite")
    description = network("keras")
    keras_model.save(
        twin.to_keras(random_weights(description), description), description, directory / "model"
    )
    arrays = digits_arrays(directory / "arrays", test=2, train=100)
    return TrainedModel(directory / "model", arrays=arrays)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    return {
        name: tflite.export(model, directory / FORMATS[name].file, FORMATS[name].precision)
        for name in NAMES
    } | {"rgb": tflite_rgb.export(model, directory / "model_rgb.tflite")}


@pytest.mark.parametrize("name", NAMES)
def test_each_precision_answers_like_the_network_at_every_batch_size(model, files, images, name):
    found = open_artifact(name, files[name], threads=1)
    run = found.signatures["image"]
    expected = keras_probabilities(model.keras_model, images)
    for rows in (slice(0, 1), slice(1, 8), slice(6, 70), slice(3, 4)):
        np.testing.assert_allclose(run(images[rows]), expected[rows], atol=CLOSE[name])
    assert found.input == model.contract["input"] and found.output == model.contract["output"]
    assert found.contract == model.contract


@pytest.mark.parametrize("name", NAMES)
def test_each_precision_is_one_graph_of_built_in_operations_with_such_weights(files, name):
    held = opened(files[name].read_bytes())
    (graph,) = held.subgraphs
    assert all(code.customCode is None for code in held.operatorCodes)
    used = [graph.tensors[index] for operator in graph.operators for index in operator.inputs]
    kernels = [t for t in used if len(t.shape) == 4 and held.buffers[t.buffer].data is not None]
    types = {tensor.type for tensor in kernels}
    kind = schema.TensorType
    expected = {"tflite": {kind.FLOAT32}, "tflite_float16": {kind.FLOAT16}}
    # The first convolution stays as it is.
    assert types == expected.get(name, {kind.FLOAT32, kind.INT8})
    assert name == "tflite" or files[name].stat().st_size < 0.6 * files["tflite"].stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_labels_and_metadata_for_on_device_libraries_are_inside(files, name):
    with zipfile.ZipFile(files[name]) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().split() == list(LABELS)
        assert archive.getinfo("labels.txt").compress_type == zipfile.ZIP_STORED
    held = opened(files[name].read_bytes())
    entries = [entry.name.decode() for entry in held.metadata]
    assert len(entries) == len(set(entries)) and {"contract", tflite_metadata.NAME} < set(entries)
    (content,) = (
        bytes(held.buffers[entry.buffer].data)
        for entry in held.metadata
        if entry.name.decode() == tflite_metadata.NAME
    )
    assert content[4:8] == b"M001"
    for text in (b"image", b"probabilities", b"labels.txt", b"keras-", b"give them one of 8 x 8 "):
        assert text in content


def test_the_same_model_gives_the_same_bytes(model, files, tmp_path):
    for name in NAMES:
        again = tflite.export(model, tmp_path / FORMATS[name].file, FORMATS[name].precision)
        assert again.read_bytes() == files[name].read_bytes(), name
    (tmp_path / "alone").mkdir()
    alone = tflite.export(model, tmp_path / "alone/model.tflite", "float16")
    assert alone.read_bytes() == files["tflite_float16"].read_bytes()


def test_int8_asks_for_images(files):
    with pytest.raises(ValueError, match="needs training images"):
        quantise(files["tflite"].read_bytes(), "int8")


def test_a_grey_model_with_three_channels_answers_what_pillow_makes_grey(files, images):
    run = open_artifact("tflite", files["rgb"], threads=1).signatures["image"]
    grey = open_artifact("tflite", files["tflite"], threads=1).signatures["image"]
    np.testing.assert_allclose(run(np.repeat(images, 3, axis=-1)), grey(images), atol=1e-6)
    coloured = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    made_grey = np.stack([np.asarray(Image.fromarray(c).convert("L")) for c in coloured])
    np.testing.assert_allclose(run(coloured), grey(made_grey[..., None]), atol=1e-6)


def test_three_channels_have_a_contract_of_their_own_and_are_for_grey_models(model, files):
    found = open_artifact("tflite", files["rgb"], threads=1)
    assert found.contract == contracts.inside(model.contract, FORMATS["tflite_rgb"])
    assert found.input["shape"] == found.contract["input"]["shape"] == [None, 8, 8, 3]
    assert found.contract["lineage"] == model.contract["lineage"]
    with pytest.raises(ValueError, match="takes 3 channels, expected one"):
        contracts.inside(found.contract, FORMATS["tflite_rgb"])


def test_labels_that_would_end_a_line_are_escaped_in_the_archive():
    content = tflite_metadata.with_labels(b"", ["a\nb", "c"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt") == b"a\\nb\nc\n"
