"""The Keras network is what the description says, and comes back from disk as it was."""

import numpy as np
import pytest

from components import keras_model
from components.architectures import parameter_count
from components.network import Network
from tests.training_data import digit_images, network

NAMES = ["digits", "mnist", "cifar10"]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_as_many_as_the_description_counts(name):
    described = network("keras", name)
    expected = parameter_count(described.architecture, described.spec.shape)
    assert keras_model.parameter_count(keras_model.build(described)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_layers_carry_the_names_of_the_description(name):
    described = network("keras", name)
    names = [layer.name for layer in keras_model.build(described).layers]
    assert names[:2] == ["image", "normalise"]
    assert names[2:] == [name for name, _ in described.architecture.named_layers()]


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


def test_missing_weights_are_named(tmp_path):
    network("keras", "digits").save(tmp_path)
    with pytest.raises(ValueError, match=r"model\.weights\.h5 is missing"):
        keras_model.load(tmp_path)
