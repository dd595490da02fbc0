"""A PyTorch training that goes on from a checkpoint is the one that was never interrupted."""

import numpy as np
import pytest
import torch

from components.networks import torch_model
from components.training.checkpoint import Checkpoints
from components.training.recipe import step_seed
from components.training.torch_learner import Learner
from tests.helpers import recipes


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Several would wait for each other longer than these few numbers take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learner(name: str, seed: int, precision: torch.dtype) -> Learner:
    torch.manual_seed(seed)
    network = recipes.network("torch", random=True)
    model = torch_model.build(network).to(memory_format=torch.channels_last)
    weights = np.linspace(0.5, 1.5, 10).astype(np.float32)
    config = recipes.RECIPES[name]
    return Learner(
        model, network.architecture, network.spec, recipes.POLICY, weights, config, precision
    )


def learn(found: Learner, name: str, steps: range) -> list[list[float]]:
    readings = []
    for step in steps:
        images, labels = map(torch.from_numpy, recipes.batch(step))
        torch.manual_seed(step_seed(0, 1, step, 0))
        config = recipes.RECIPES[name]
        rate, scale = recipes.rate(config, step), recipes.scale(config, step)
        reading = found.step(images.permute(0, 3, 1, 2), labels, None, rate, len(labels), scale)
        readings.append(reading.tolist())
    return readings


def validate(found: Learner) -> list[float]:
    images, labels = map(torch.from_numpy, recipes.batch(-1))
    return found.evaluate([(images.permute(0, 3, 1, 2), labels)]).tolist()


def check_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", recipes.RECIPES)
def test_steps_after_a_checkpoint_are_those_of_an_undisturbed_run_bit_for_bit(
    tmp_path, name, precision
):
    undisturbed, resumed = learner(name, 0, precision), learner(name, 1, precision)
    learn(undisturbed, name, range(4))
    checkpoints = Checkpoints(tmp_path, "x")
    checkpoints.save(4, undisturbed.arrays(), {})
    validate(undisturbed)
    resumed.restore(checkpoints.latest().arrays, 4)
    check_equal(undisturbed.arrays(), resumed.arrays())
    assert learn(undisturbed, name, range(4, 8)) == learn(resumed, name, range(4, 8))
    check_equal(undisturbed.arrays(), resumed.arrays())
    check_equal(undisturbed.judged(), resumed.judged())
    assert validate(undisturbed) == validate(resumed)


def test_what_validation_judges_is_a_copy_that_can_be_taken_over():
    found = learner("adamw", 0, torch.float32)
    learn(found, "adamw", range(3))
    judged = found.judged()
    kept, before = {n: a.copy() for n, a in judged.items()}, validate(found)
    learn(found, "adamw", range(3, 6))
    check_equal(judged, kept)
    found.load(judged)
    assert torch_model.not_finite(found.model) == []
    fresh = learner("adam", 1, torch.float32)
    fresh.load(judged)
    assert validate(fresh) == before


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_frozen_parameters_stay_as_they_are(name):
    """As the backbone of a custom network does that was trained before."""
    torch.manual_seed(0)
    network = recipes.network("torch", random=False)
    model = torch_model.build(network)
    frozen, *_ = kernels = [p for p in model.parameters() if p.ndim > 1]
    frozen.requires_grad_(False)
    before = [kernel.detach().clone() for kernel in kernels]
    config = recipes.RECIPES[name]
    found = Learner(
        model, network.architecture, network.spec, (), np.ones(10, np.float32), config,
        torch.float32,
    )  # fmt: skip
    learn(found, name, range(3))
    assert torch.equal(frozen, before[0])
    assert not any(torch.equal(now, then) for now, then in zip(kernels[1:], before[1:]))


def test_only_kernels_decay():
    config = recipes.RECIPES["sgd"]
    found = learner("sgd", 0, torch.float32)
    for parameter in found.model.parameters():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    found._apply(0.5)
    for parameter in found.model.parameters():
        expected = 1 - 0.5 * config.weight_decay if parameter.ndim > 1 else 1.0
        assert parameter.detach().unique().tolist() == pytest.approx([expected])
