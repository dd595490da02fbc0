"""The same recipe means the same in both frameworks: from the same weights, the same batches lead
to nearly the same weights."""

import keras
import numpy as np
import pytest
import torch

from components import keras_learner, keras_model, torch_learner
from export import twin
from tests import recipes

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


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_both_frameworks_learn_the_same(name):
    network, of_keras, of_torch = learners(name)
    start = twin.keras_weights(of_keras.model, network)
    for step in range(STEPS):
        images, labels = recipes.batch(step)
        rate = recipes.rate(recipes.RECIPES[name], step)
        reading = of_keras.step(images, labels, np.zeros(len(labels), bool), rate)
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
        other = of_torch.step(tensor, torch.from_numpy(labels), None, rate, len(labels))
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
        assert np.abs(array - theirs[key]).max() < 1e-3 * moved, key
