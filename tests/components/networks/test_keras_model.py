"""The Keras network is what the description says, and comes back from disk as it was."""

import numpy as np
import pytest
import tensorflow as tf

from components.evaluation.temperature import apply
from components.networks import keras_model
from components.networks.description import parameter_count
from components.networks.network import Network
from tests.helpers import zoo
from tests.helpers.training_data import digit_images, network
from tests.helpers.zoo import OUTPUTS, outputs_and_probabilities


@pytest.mark.parametrize("name", zoo.NAMES)
def test_layers_have_the_names_weights_and_shapes_of_the_description(name):
    described = zoo.network("keras", name)
    model = keras_model.build(described)
    shape = described.spec.shape
    count = parameter_count(described.architecture, shape)
    assert keras_model.parameter_count(model) == count
    assert [layer.name for layer in model.layers][:2] == ["image", "normalise"]
    for placed in described.architecture.all_placed(shape):
        layer = model.get_layer(placed.name)
        assert layer.output.shape == (None, *placed.after), placed.name
        assert layer.count_params() == placed.weights + placed.statistics, placed.name


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_become_probabilities_by_the_definition(name):
    architecture = zoo.network("keras", name).architecture
    given, expected = outputs_and_probabilities(architecture)
    found = keras_model.probabilities(given, architecture).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_temperature_scales_every_kind_of_output_as_numpy_does(name, temperature):
    architecture = zoo.network("keras", name).architecture
    given, plain = outputs_and_probabilities(architecture)
    found = keras_model.probabilities(given, architecture, temperature).numpy()
    np.testing.assert_allclose(found, apply(plain, temperature), atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_a_probability_of_zero_is_no_nan_at_another_temperature(name):
    architecture = zoo.network("keras", name).architecture
    sure = np.eye(3, architecture.units, dtype=np.float32)
    found = keras_model.probabilities(sure, architecture, 2.0).numpy()
    np.testing.assert_allclose(found.max(axis=1), 1.0)


def test_a_temperature_of_one_adds_nothing_to_the_graph():
    architecture = zoo.network("keras", "digits").architecture
    spec = tf.TensorSpec((None, 10), tf.float32)
    plain = tf.function(lambda x: keras_model.probabilities(x, architecture))
    at_one = tf.function(lambda x: keras_model.probabilities(x, architecture, 1.0))
    graphs = [f.get_concrete_function(spec).graph for f in (plain, at_one)]
    operations = [[operation.type for operation in graph.get_operations()] for graph in graphs]
    assert operations[0] == operations[1] and "RealDiv" not in operations[1]


def test_the_input_is_normalised_by_the_image_spec():
    described = network("keras", "cifar10")
    image = np.full((1, 32, 32, 3), 255, np.float32)
    found = keras_model.build(described).get_layer("normalise")(image)
    expected = (1 - np.array(described.spec.mean)) / described.spec.std
    np.testing.assert_allclose(found[0, 0, 0], expected, rtol=1e-6)


def test_a_saved_network_gives_the_same_logits_again(tmp_path):
    described = network("keras", "digits")
    model = keras_model.build(described)
    images = digit_images(16)[0].astype(np.float32)
    model(images, training=True)  # moves the moving statistics away from their start
    keras_model.save(model, described, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"network.json", keras_model.WEIGHTS}
    assert Network.load(tmp_path) == described
    np.testing.assert_array_equal(keras_model.load(tmp_path)(images), model(images))


def test_blocks_within_blocks_come_back_from_disk(tmp_path):
    described = zoo.network("keras", "residual in residual")
    model = keras_model.build(described)
    images = np.random.default_rng(0).uniform(0, 255, (4, *described.spec.shape)).astype(np.float32)
    keras_model.save(model, described, tmp_path)
    np.testing.assert_array_equal(keras_model.load(tmp_path)(images), model(images))


def test_missing_weights_are_named(tmp_path):
    network("keras", "digits").save(tmp_path)
    with pytest.raises(ValueError, match=r"model\.weights\.h5 is missing"):
        keras_model.load(tmp_path)
