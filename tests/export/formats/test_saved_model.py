"""A SavedModel that is given files sees the pixels that evaluation saw, margin or not."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.data.pack import write_description, write_shard
from export.formats import contract as contracts
from export.formats import saved_model, twin
from export.formats.inference import Inference, inference
from export.verification.parity import ParityArgs
from serving.contract.image_spec import ImageSpec, decode, fit_packed
from tests.helpers.export_data import network, random_weights, transform_graph
from tests.helpers.images import encode, photographs, tile
from tests.helpers.training_data import ROOT


@pytest.mark.parametrize("margins", [(0, 0), (3, 4)], ids=["no margin", "margin"])
def test_serving_bytes_crops_the_margin_off_as_decode_does(tmp_path, margins):
    height, width = margins
    spec = dataclasses.replace(network("keras").spec, margin_height=height, margin_width=width)
    path = _write(tmp_path, spec)
    inside = json.loads((path / "assets.extra/contract.json").read_text())
    assert ImageSpec.from_dict(inside["image_spec"]) == spec
    assert inside["input"]["shape"] == [None, 8, 8, 1]

    served = tf.saved_model.load(str(path)).signatures
    # Files of the packed size are not resized, so that not even a grey level may differ.
    height, width, _ = spec.packed_shape
    images = [tile(0, row, 20, height, width).convert("L") for row in range(20, 26)]
    files = [encode(image, "PNG") for image in images]
    pixels = np.stack([decode(file, spec) for file in files])
    by_bytes = served["serving_bytes"](image_bytes=tf.constant(files))["probabilities"]
    by_pixels = served["serving_default"](image=tf.constant(pixels))["probabilities"]
    np.testing.assert_array_equal(by_bytes, by_pixels)
    # One column aside would have been noticed.
    aside = served["serving_default"](image=tf.constant(np.roll(pixels, 1, axis=2)))
    assert np.abs(aside["probabilities"] - by_bytes).max(axis=1).min() > 1e-6
    if any(margins):
        shard = np.stack([fit_packed(image, spec) for image in images])
        verify_against(tmp_path, spec, shard, by_pixels.numpy())


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_serving_bytes_fits_files_of_any_shape_as_decode_does(tmp_path, fit):
    spec = dataclasses.replace(network("keras").spec, margin_height=2, fit=fit)
    path = _write(tmp_path, spec)
    inside = json.loads((path / "assets.extra/contract.json").read_text())
    assert ImageSpec.from_dict(inside["image_spec"]) == spec

    served = tf.saved_model.load(str(path)).signatures
    photograph = Image.fromarray(photographs()[1]).convert("L")
    sizes = [(240, 64), (64, 240), (97, 331), (300, 1), (1, 300), (10, 8)]
    files = [encode(photograph.resize((width, height)), "PNG") for height, width in sizes]
    by_bytes = served["serving_bytes"](image_bytes=tf.constant(files))["probabilities"]

    def difference(fit):
        other = dataclasses.replace(spec, fit=fit)
        pixels = np.stack([decode(file, other) for file in files])
        by_pixels = served["serving_default"](image=tf.constant(pixels))["probabilities"]
        return np.abs(by_bytes - by_pixels).max(axis=1)

    # TensorFlow's filter may round to the next grey level.
    own = difference(fit)
    assert own.max() < 2e-3 and own[-1] == 0
    for other in {"crop", "stretch", "pad"} - {fit}:
        assert difference(other).max() > 10 * 2e-3


def _write(directory, spec):
    """The SavedModel of a network with random weights for such images."""
    description = dataclasses.replace(network("keras"), spec=spec)
    graph = transform_graph(directory / "transform", spec)
    model = twin.to_keras(random_weights(network("keras")), network("keras"))
    module = inference(model, description.architecture, graph)
    return saved_model.write(module, contracts.build(description, "keras-00"), directory / "out")


def verify_against(directory, spec, packed, probabilities):
    """The release's own check of the SavedModel, which makes files of the images, passes."""
    labels = np.zeros(len(packed), np.int64)
    write_shard(directory / "arrays/test", 0, len(packed), spec, [(packed, labels)])
    write_description(directory / "arrays", spec, list("0123456789"))
    np.savez(directory / "test.npz", probabilities=probabilities, labels=labels)
    arguments = ParityArgs(
        artifact="saved_model",
        path=directory / "out",
        arrays=directory / "arrays",
        predictions=directory,
        images=6,
        batches=(4,),
        output=directory / "parity.json",
    )
    (directory / "args.json").write_text(arguments.model_dump_json())
    command = [sys.executable, "-m", "export.verification.parity", str(directory / "args.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((directory / "parity.json").read_text())
    assert record["error"] is None
    assert record["max_difference"] < 1e-6 and record["agreement"] == 1.0


def test_values_between_two_grey_levels_are_rounded_and_those_beyond_the_ends_clipped():
    """Also where the graph that prepares the files does neither itself."""
    description = network("keras")
    model = twin.to_keras(random_weights(description), description)
    values = [-3.2, 0.4, 0.6, 1.5, 2.5, 76.9, 127.3, 254.6, 255.4, 300.0]
    prepared = np.resize(np.array(values, np.float32), (2, 8, 8, 1))
    module = Inference(model, description.architecture, lambda files: tf.constant(prepared))
    pixels = np.clip(np.rint(prepared), 0, 255).astype(np.uint8)
    by_bytes = module.image_bytes(tf.constant([b"", b""]))["probabilities"].numpy()
    by_pixels = module.image(tf.constant(pixels))["probabilities"].numpy()
    np.testing.assert_array_equal(by_bytes, by_pixels)
    below = module.image(tf.constant(np.clip(prepared, 0, 255).astype(np.uint8)))["probabilities"]
    assert np.abs(below - by_bytes).max() > 1e-6  # cut off instead, they would give another answer
