"""The PyTorch network is what the description says, and comes back from disk as it was."""

import numpy as np
import pytest
import torch

from components import torch_model
from components.architectures import Architecture, BatchNorm, Conv, Dense, Flatten, parameter_count
from components.image_spec import ImageSpec
from components.network import Network
from tests.training_data import digit_images, network

NAMES = ["digits", "mnist", "cifar10"]


def digits_tensor(count: int) -> torch.Tensor:
    return torch.from_numpy(digit_images(count)[0]).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_as_many_as_the_description_counts(name):
    described = network("torch", name)
    expected = parameter_count(described.architecture, described.spec.shape)
    assert torch_model.parameter_count(torch_model.build(described)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_layers_carry_the_names_of_the_description(name):
    described = network("torch", name)
    names = [name for name, _ in torch_model.build(described).named_children()]
    assert names == [name for name, _ in described.architecture.named_layers()]


def test_batch_norm_keeps_the_share_of_the_old_statistics_that_the_description_says():
    layers = (BatchNorm(momentum=0.75), Flatten(), Dense(units=2))
    described = Network("torch", Architecture(name="a", layers=layers), ImageSpec(2, 2, 1), "ab")
    module = torch_model.build(described)
    module(torch.full((4, 1, 2, 2), 255.0))  # 1 after the normalisation
    assert module.get_submodule("00_batch_norm").running_mean.item() == pytest.approx(0.25)


def test_flatten_orders_height_width_channels():
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    flat = torch_model.ChannelsLastFlatten()(x)
    np.testing.assert_array_equal(flat[0], x[0].numpy().transpose(1, 2, 0).ravel())


def test_a_saved_network_gives_the_same_logits_again(tmp_path):
    described = network("torch", "digits")
    module = torch_model.build(described).to(memory_format=torch.channels_last)
    module(digits_tensor(16))  # moves the moving statistics away from their start
    torch_model.save(module, described, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"network.json", torch_model.WEIGHTS}
    assert Network.load(tmp_path) == described
    loaded = torch_model.load(tmp_path)
    assert not loaded.training
    with torch.inference_mode():
        found, expected = loaded(digits_tensor(9)), module.eval()(digits_tensor(9))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for name, tensor in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_weights_of_another_network_are_refused(tmp_path):
    torch_model.save(
        torch_model.build(network("torch", "mnist")), network("torch", "digits"), tmp_path
    )
    with pytest.raises(ValueError, match="does not hold this network's weights"):
        torch_model.load(tmp_path)


def test_a_network_without_a_logit_for_each_class_is_refused():
    layers = (Conv(filters=2), Flatten(), Dense(units=3))
    with pytest.raises(ValueError, match="one unit for each of the 2 classes"):
        Network("torch", Architecture(name="a", layers=layers), ImageSpec(8, 8, 1), ("a", "b"))
