"""A SavedModel that is given files sees the pixels that evaluation saw, margin or not."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from components.image_spec import decode
from export import contract as contracts
from export import savedmodel, twin
from tests.export_data import network, random_weights, transform_graph
from tests.images import encode, tile


@pytest.mark.parametrize("margins", [(0, 0), (3, 4)], ids=["no margin", "margin"])
def test_serving_bytes_crops_the_margin_off_as_decode_does(tmp_path, margins):
    description = network("keras")
    spec = dataclasses.replace(description.spec, margin_height=margins[0], margin_width=margins[1])
    graph = transform_graph(tmp_path / "transform", spec)
    model = twin.to_keras(random_weights(description), description)
    contract = contracts.build(dataclasses.replace(description, spec=spec), "keras-00")
    path = savedmodel.export(savedmodel.inference(model, graph), contract, tmp_path / "out")
    assert contracts.read_saved_model(path)["image_spec"] == contract["image_spec"]
    assert contract["image_spec"]["margin_height"] == margins[0]
    assert contract["input"]["shape"] == [None, 8, 8, 1]

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
