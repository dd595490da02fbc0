"""A Keras training that goes on from a checkpoint is the one that was never interrupted."""

import keras
import numpy as np
import pytest

from components.networks import keras_model
from components.training.checkpoint import Checkpoints
from components.training.keras_learner import Learner
from tests.helpers import recipes


@pytest.fixture
def float32_again():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def learner(name: str, seed: int) -> Learner:
    keras.utils.set_random_seed(seed)
    network = recipes.network("keras", random=True)
    weights = np.linspace(0.5, 1.5, 10).astype(np.float32)
    model, config = keras_model.build(network), recipes.RECIPES[name]
    return Learner(model, network.architecture, network.spec, recipes.POLICY, weights, config)


def learn(found: Learner, name: str, steps: range) -> list[tuple[float, float]]:
    readings = []
    for step in steps:
        images, labels = recipes.batch(step)
        config = recipes.RECIPES[name]
        rate, scale = recipes.rate(config, step), recipes.scale(config, step)
        readings.append(found.step(images, labels, np.zeros(len(labels), bool), rate, scale))
    return readings


def validate(found: Learner) -> list[float]:
    return found.evaluate([recipes.batch(-1)]).tolist()


def check_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize(
    "name, precision",
    [
        ("adam", "mixed_bfloat16"),
        ("adamw", "float32"),
        ("sgd", "float32"),
        ("muon", "mixed_bfloat16"),
    ],
)
def test_steps_after_a_checkpoint_are_those_of_an_undisturbed_run_bit_for_bit(
    tmp_path, name, precision, float32_again
):
    keras.config.set_dtype_policy(precision)
    undisturbed, resumed = learner(name, 0), learner(name, 1)
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
    found = learner("adamw", 0)
    learn(found, "adamw", range(3))
    judged = found.judged()
    kept, before = {n: a.copy() for n, a in judged.items()}, validate(found)
    learn(found, "adamw", range(3, 6))
    check_equal(judged, kept)
    assert keras_model.not_finite(found.model) == []
    fresh = learner("adam", 1)
    fresh.load(judged)
    assert validate(fresh) == before


def test_a_counter_among_the_weights_of_a_custom_network_is_kept_beside_the_average():
    normalise = keras.layers.Normalization(axis=-1)
    normalise.adapt(np.array([[[[0.0]], [[255.0]]]]))
    head = [keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((8, 8, 1)), normalise, *head])
    assert any("int" in weight.dtype for weight in model.weights)
    network, config = recipes.network("keras", random=False), recipes.RECIPES["adamw"]
    weights = np.ones(10, np.float32)
    found = Learner(model, network.architecture, network.spec, (), weights, config)
    learn(found, "adamw", range(3))
    for weight, judged in zip(model.weights, found.judged().values(), strict=True):
        assert np.array_equal(weight.numpy(), judged) != weight.trainable


def test_what_a_custom_network_adds_to_its_loss_is_learned():
    """Keras's `L2(x)` is what `train.l2=x` is."""
    recipe = recipes.RECIPES["sgd without momentum"]
    network = recipes.network("keras", random=False)
    found = []
    for config, own in ((recipe, None), (recipe.model_copy(update={"l2": 0.0}), recipe.l2)):
        keras.utils.set_random_seed(0)
        regularizer = own and keras.regularizers.L2(own)
        dense = keras.layers.Dense(10, kernel_regularizer=regularizer)
        scaled = keras.layers.Rescaling(1 / 255)
        model = keras.Sequential([keras.Input((8, 8, 1)), scaled, keras.layers.Flatten(), dense])
        weights = np.ones(10, np.float32)
        learner = Learner(model, network.architecture, network.spec, (), weights, config)
        found.append((learn(learner, "sgd without momentum", range(3)), dense.kernel.numpy()))
    (readings, kernel), (own_readings, own_kernel) = found
    np.testing.assert_allclose(own_readings, readings, rtol=1e-5)
    np.testing.assert_allclose(own_kernel, kernel, rtol=1e-4, atol=1e-6)
