"""The same recipe means the same in both frameworks: from the same weights, the same batches lead
to nearly the same weights."""

import keras
import numpy as np
import pytest
import torch
from scipy import special

from components.networks import keras_model
from components.training import keras_learner, keras_optimizers, torch_learner, torch_optimizers
from export.formats import twin
from tests.helpers import recipes

STEPS = 8


def learners(name: str):
    """A learner of each framework with the same weights, without anything random."""
    config, class_weights = recipes.RECIPES[name], np.linspace(0.5, 1.5, 10).astype(np.float32)
    network = recipes.network("keras", random=False)
    keras.utils.set_random_seed(3)
    model = keras_model.build(network)
    module = twin.to_torch(twin.keras_weights(model, network), network)
    arguments = (network.architecture, network.spec, (), class_weights, config)
    module = module.to(memory_format=torch.channels_last)
    return (
        network,
        keras_learner.Learner(model, *arguments),
        torch_learner.Learner(module, *arguments, torch.float32),
    )


def test_a_steps_loss_is_the_mean_of_weighted_losses_and_the_penalty():
    """Class weights multiply losses, and the batch's size divides them."""
    network, of_keras, of_torch = learners("adam")
    images, labels = recipes.batch(0)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = of_torch.model.train()(tensor.float()).double().numpy()
    target = np.eye(10)[labels] * 0.9 + 0.1 / 10  # label_smoothing
    entropies = -(target * special.log_softmax(logits, 1)).sum(1)
    weights = twin.keras_weights(of_keras.model, network)
    penalty = 1e-4 * sum(np.abs(w).sum() for w in weights.values() if w.ndim > 1)
    expected = (np.linspace(0.5, 1.5, 10)[labels] * entropies).mean() + penalty
    accuracy = (logits.argmax(1) == labels).mean()
    reading = of_keras.step(images, labels, np.zeros(len(labels), bool), 1e-3)
    assert reading == pytest.approx((expected, accuracy), rel=1e-5)
    other = of_torch.step(tensor, torch.from_numpy(labels), None, 1e-3, len(labels))
    assert other.tolist() == pytest.approx((expected, accuracy), rel=1e-5)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_both_frameworks_learn_the_same(name):
    network, of_keras, of_torch = learners(name)
    start = twin.keras_weights(of_keras.model, network)
    for step in range(STEPS):
        images, labels = recipes.batch(step)
        rate = recipes.rate(recipes.RECIPES[name], step)
        scale = recipes.scale(recipes.RECIPES[name], step)
        reading = of_keras.step(images, labels, np.zeros(len(labels), bool), rate, scale)
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
        other = of_torch.step(tensor, torch.from_numpy(labels), None, rate, len(labels), scale)
        assert reading == pytest.approx(other.tolist(), rel=1e-4), step
    images, labels = recipes.batch(-1)
    judged = of_torch.evaluate(
        [(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels))]
    )
    assert of_keras.evaluate([(images, labels)]) == pytest.approx(judged.numpy(), rel=1e-4)
    of_keras.load(of_keras.judged())
    weights = twin.keras_weights(of_keras.model, network)
    theirs = twin.torch_weights(of_torch.judged(), network)
    for key, array in weights.items():
        moved = np.abs(array - start[key]).max()
        assert np.abs(array - theirs[key]).max() < 1e-4 * moved, key


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_muons_steps_are_nearly_orthogonal_whatever_the_kernels_shape(shape):
    matrix = np.random.default_rng(0).normal(0, 1e-3, shape).astype(np.float32)
    found = torch_optimizers._orthogonal(torch.from_numpy(matrix)).numpy()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    assert np.abs(left.T @ found @ right.T - np.eye(12)).max() < 0.35
    assert keras_optimizers._orthogonal(matrix).numpy() == pytest.approx(found, abs=1e-5)
