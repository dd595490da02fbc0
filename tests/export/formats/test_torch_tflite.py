"""TFLite of a PyTorch network without a Keras twin: what there is of ours around litert-torch."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from components.networks import torch_model
from export.formats import torch_tflite
from export.formats.trained_model import TrainedModel
from tests.helpers.export_data import network, random_module


class ForSeven(tf.Module):
    """A network for seven images, as litert-torch makes them: flattening names the seven."""

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(0)
        self.kernel = tf.constant(generator.normal(size=(3, 3, 1, 4)).astype(np.float32))
        self.dense = tf.constant(generator.normal(size=(256, 10)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((7, 8, 8, 1), tf.uint8, name="image")])
    def __call__(self, image):
        x = tf.nn.relu(tf.nn.conv2d(tf.cast(image, tf.float32), self.kernel, 1, "SAME"))
        x = tf.matmul(tf.reshape(x, (7, 256)), self.dense)
        return {"probabilities": tf.nn.softmax(x)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_for_seven_images_becomes_one_for_any_number(tmp_path):
    module = ForSeven()
    tf.saved_model.save(module, str(tmp_path / "made"), signatures=module.__call__)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "made"))
    made = converter.convert()
    content = torch_tflite.of_any_batch(made, 7)
    images = np.random.default_rng(1).integers(0, 256, (70, 8, 8, 1), np.uint8)
    expected = np.concatenate([module(images[i : i + 7])["probabilities"] for i in range(0, 70, 7)])
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    (details,) = runner.get_input_details().values()
    assert details["shape"].tolist() == [1, 8, 8, 1]
    assert details["shape_signature"].tolist() == [-1, 8, 8, 1]
    for rows in (slice(0, 1), slice(1, 8), slice(6, 70)):
        answer = runner(image=images[rows])["probabilities"]
        np.testing.assert_allclose(answer, expected[rows], atol=1e-5)


@pytest.mark.skipif(torch_tflite.available(), reason="litert-torch is installed")
def test_without_the_package_a_sentence_names_it_and_the_choices(tmp_path):
    description = network("torch")
    torch_model.save(random_module(description), description, tmp_path / "model")
    with pytest.raises(ValueError, match="by litert-torch, which is not installed: pip install"):
        torch_tflite.export(TrainedModel(tmp_path / "model"), tmp_path / "model.tflite")
