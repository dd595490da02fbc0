"""The PyTorch network is what the description says, and comes back from disk as it was."""

import numpy as np
import pytest
import torch

from components.evaluation.temperature import apply
from components.networks import torch_layers, torch_model
from components.networks.description import Architecture, parameter_count
from components.networks.layers import Activation, BatchNorm, Conv, Dense, Flatten, Residual
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec
from tests.helpers import zoo
from tests.helpers.training_data import digit_images, network
from tests.helpers.zoo import OUTPUTS, outputs_and_probabilities


def digits_tensor(count: int) -> torch.Tensor:
    return torch.from_numpy(digit_images(count)[0]).permute(0, 3, 1, 2).float()


def zeros(network: Network, rows: int = 2) -> torch.Tensor:
    height, width, channels = network.spec.shape
    return torch.zeros((rows, channels, height, width))


@pytest.mark.parametrize("name", zoo.NAMES)
def test_layers_have_the_names_weights_and_shapes_of_the_description(name):
    described = zoo.network("torch", name)
    shape = described.spec.shape
    module = torch_model.build(described).eval()
    assert torch_model.parameter_count(module) == parameter_count(described.architecture, shape)
    found = {}
    for layer, child in module.named_modules():
        child.register_forward_hook(lambda _, __, y, layer=layer: found.update({layer: y.shape}))
    with torch.inference_mode():
        module(zeros(described))
    for placed in described.architecture.all_placed(shape):
        # (H, W, C) in the description, (C, H, W) in PyTorch.
        assert found.pop(placed.name)[1:] == (placed.after[-1], *placed.after[:-1]), placed.name
    assert found.keys() == {""}


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_weight_of_every_network_learns(name):
    """A ReLU that overwrites what a gradient still needs would end in an error of PyTorch's."""
    torch.manual_seed(0)
    described = zoo.network("torch", name)
    module = torch_model.build(described)
    x = 255 * torch.rand(zeros(described, 4).shape)
    units = torch.arange(described.architecture.units)
    (module(x) * (1 + units)).square().sum().backward()
    still = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    # What goes into a batch norm without anything between: a constant, which it takes away again.
    assert not [n for n in still if not n.endswith("bias")]


def test_a_relu_overwrites_only_what_nothing_else_needs():
    block = Residual(layers=(Activation(), Conv(filters=1), Activation()))
    layers = (Activation(), Conv(filters=1), Activation(), Activation(), block, Activation())
    described = Network(
        "torch",
        Architecture(name="a", layers=(*layers, Flatten(), Dense(units=2))),
        ImageSpec(4, 4, 1),
        "ab",
    )
    relus = [m for m in torch_model.build(described).modules() if isinstance(m, torch.nn.ReLU)]
    assert [relu.inplace for relu in relus] == [False, True, False, False, True, True]


def test_a_residual_block_adds_its_input():
    layers = (Residual(layers=(Activation(), Conv(filters=3))), Flatten(), Dense(units=2))
    described = Network("torch", Architecture(name="a", layers=layers), ImageSpec(4, 4, 3), "ab")
    block = torch_model.build(described).get_submodule("00_residual")
    torch.nn.init.zeros_(block.get_submodule("01_conv").weight)
    x = torch.randn(2, 3, 4, 4)
    before = x.clone()
    torch.testing.assert_close(block(x), before)
    torch.testing.assert_close(x, before)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_become_probabilities_by_the_definition(name):
    architecture = zoo.network("torch", name).architecture
    given, expected = outputs_and_probabilities(architecture)
    found = torch_model.probabilities(torch.from_numpy(given), architecture)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    half = torch_model.probabilities(torch.from_numpy(given).bfloat16(), architecture)
    assert half.dtype == torch.float32


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_temperature_scales_every_kind_of_output_as_numpy_does(name, temperature):
    architecture = zoo.network("torch", name).architecture
    given, plain = outputs_and_probabilities(architecture)
    found = torch_model.probabilities(torch.from_numpy(given), architecture, temperature).numpy()
    np.testing.assert_allclose(found, apply(plain, temperature), atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_a_probability_of_zero_is_no_nan_at_another_temperature(name):
    architecture = zoo.network("torch", name).architecture
    sure = np.eye(3, architecture.units, dtype=np.float32)
    found = torch_model.probabilities(torch.from_numpy(sure), architecture, 2.0).numpy()
    np.testing.assert_allclose(found.max(axis=1), 1.0)


def test_a_temperature_of_one_adds_nothing_to_the_graph():
    architecture = zoo.network("torch", "digits").architecture
    traced = torch.fx.symbolic_trace(lambda x: torch_model.probabilities(x, architecture, 1.0))
    called = [node.target for node in traced.graph.nodes if node.op.startswith("call")]
    assert called == ["float", "softmax"]


def test_batch_norm_keeps_the_share_of_the_old_statistics_that_the_description_says():
    layers = (BatchNorm(momentum=0.75), Flatten(), Dense(units=2))
    described = Network("torch", Architecture(name="a", layers=layers), ImageSpec(2, 2, 1), "ab")
    module = torch_model.build(described)
    module(torch.full((4, 1, 2, 2), 255.0))  # 1 after the normalisation
    assert module.get_submodule("00_batch_norm").running_mean.item() == pytest.approx(0.25)


def test_flatten_orders_height_width_channels():
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    flat = torch_layers.ChannelsLastFlatten()(x)
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


def test_weights_that_two_layers_share_are_saved_and_come_back(tmp_path):
    def tied() -> torch.nn.Module:
        module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3))
        module[2].weight = module[0].weight
        return module

    first, second = tied(), tied()
    torch_model.save_weights(first, tmp_path / "weights")
    torch_model.load_weights(second, tmp_path / "weights")
    x = torch.ones(2, 3)
    assert torch.equal(first(x), second(x))
    assert second[2].weight is second[0].weight
