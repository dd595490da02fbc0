"""The twins give the same probabilities, and every weight arrives bit for bit."""

import numpy as np
import pytest
import torch

from components.networks import keras_model, torch_model
from export.formats import twin
from tests.helpers import zoo
from tests.helpers.export_data import (
    keras_probabilities,
    network,
    random_module,
    random_weights,
    torch_probabilities,
)


def torch_state(module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def random_images(description) -> np.ndarray:
    """Noise around another colour in each: to an average over the image, all noise is alike."""
    generator, shape = np.random.default_rng(0), description.spec.shape
    noise = generator.uniform(-64, 64, (7, *shape))
    return (generator.uniform(0, 255, (7, 1, 1, shape[-1])) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_weights_go_from_pytorch_to_keras_and_back_with_the_same_probabilities(name):
    description = zoo.network("torch", name)
    module = random_module(description)
    weights = twin.torch_weights(torch_state(module), description)
    model = twin.to_keras(weights, description)
    images = random_images(description)
    expected = torch_probabilities(module, images, description)
    received = keras_probabilities(model, images, description)
    assert expected.shape == received.shape == (len(images), len(description.labels))
    assert expected.std(0).min() > 1e-4  # otherwise anything would agree
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(received, expected, atol=1e-5)

    arrived = twin.keras_weights(model, description)
    back = twin.to_torch(arrived, description)
    for key, tensor in back.state_dict().items():
        np.testing.assert_array_equal(tensor, module.state_dict()[key], err_msg=key)
    assert not back.training
    np.testing.assert_array_equal(torch_probabilities(back, images, description), expected)


@pytest.mark.parametrize("name", ["one logit", "smiles_v4"])
@pytest.mark.parametrize("height, width", [(8, 11), (19, 10), (13, 12)])
def test_networks_that_end_in_an_average_are_twins_at_any_size_of_image(name, height, width):
    """Progressive resizing trains them so; what `same` pads with a stride depends on the size."""
    description = zoo.network("torch", name)
    module = random_module(description)
    model = twin.to_keras(twin.torch_weights(torch_state(module), description), description)
    shape = (height, width, description.spec.channels)
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.float32)
    expected = module(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()
    received = keras_model.at_size(model, shape)(images).numpy()
    assert expected.std(0).min() > 1e-3
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cifar10_small", "mnist_tiny", "smiles_v4", "no bias", "sigmoid"])
def test_weights_go_from_keras_to_pytorch_and_back_bit_for_bit(name):
    description = zoo.network("keras", name)
    model = keras_model.build(description)
    weights = twin.keras_weights(model, description)
    module = twin.to_torch(weights, description)
    images = random_images(description)
    np.testing.assert_allclose(
        torch_probabilities(module, images, description),
        keras_probabilities(model, images, description),
        atol=1e-5,
    )
    back = twin.to_keras(twin.torch_weights(torch_state(module), description), description)
    arrived = {variable.path: variable.numpy() for variable in back.weights}
    for variable in model.weights:
        if "seed_generator" not in variable.path:
            np.testing.assert_array_equal(arrived[variable.path], variable.numpy(), variable.path)


def test_every_variable_of_both_networks_is_moved():
    description = zoo.network("torch", "smiles_v4")
    weights = random_weights(description)
    count = sum(array.size for array in weights.values())
    assert count == keras_model.parameter_count(keras_model.build(description))
    assert count == torch_model.parameter_count(torch_model.build(description))


def test_a_pytorch_model_directory_is_read_without_pytorch(tmp_path):
    description = network("torch")
    module = random_module(description)
    torch_model.save(module, description, tmp_path)
    read = twin.load_torch_weights(tmp_path, description)
    expected = twin.torch_weights(torch_state(module), description)
    assert read.keys() == expected.keys()
    assert all(np.array_equal(read[name], array) for name, array in expected.items())


def test_a_keras_model_directory_loads_in_float32_under_a_reduced_precision_policy(
    tmp_path,
):
    import keras

    description = network("keras")
    weights = random_weights(description)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras_model.save(twin.to_keras(weights, description), description, tmp_path)
        model = twin.load_keras(tmp_path)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(before)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    read = twin.keras_weights(model, description)
    assert all(np.array_equal(read[name], array) for name, array in weights.items())


def test_weights_of_another_architecture_are_refused_by_name():
    description = network("torch")
    weights = random_weights(description)
    with pytest.raises(ValueError, match=r"00_conv/kernel has shape .* expected"):
        twin.to_keras(weights | {"00_conv/kernel": np.zeros((5, 5, 1, 32))}, description)
    with pytest.raises(ValueError, match="12_dense/bias is missing"):
        twin.to_keras({k: v for k, v in weights.items() if k != "12_dense/bias"}, description)
    state = torch_state(random_module(description))
    del state["12_dense.bias"]
    with pytest.raises(ValueError, match="12_dense.bias is missing from the PyTorch weights"):
        twin.torch_weights(state, description)
