"""The twins give the same probabilities, and every weight arrives bit for bit."""

import numpy as np
import pytest

from components import keras_model, torch_model
from export import twin
from tests.export_data import (
    keras_probabilities,
    network,
    random_module,
    random_weights,
    torch_probabilities,
)


def torch_state(module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("architecture", ["digits", "mnist", "cifar10"])
@pytest.mark.parametrize("seed", [0, 1])
def test_probabilities_are_equal_and_weights_arrive_bit_for_bit(architecture, seed):
    description = network("torch", architecture)
    module = random_module(description, seed)
    weights = twin.torch_weights(torch_state(module), description)
    model = twin.to_keras(weights, description)
    images = np.random.default_rng(seed).integers(0, 256, (7, *description.spec.shape), np.uint8)
    np.testing.assert_allclose(
        keras_probabilities(model, images),
        torch_probabilities(module, images),
        atol=1e-5,
    )
    arrived = twin.keras_weights(model, description)
    assert arrived.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(arrived[name], array, err_msg=name)


def test_every_variable_of_both_networks_is_moved():
    description = network("torch")
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
