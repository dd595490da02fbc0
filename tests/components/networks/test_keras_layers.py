"""The fast Keras layers mean what Keras's own do, and PyTorch's where the two differ."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from components.networks import keras_layers
from tests.helpers.training_data import ROOT

POLICIES = pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
# Of outputs around one: bfloat16 has eight bits.
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 2e-2}


def images(shape=(32, 5, 4, 6)) -> np.ndarray:
    return np.random.default_rng(0).normal(1, 2, shape).astype(np.float32)


def trained(layer: keras.layers.Layer, x: np.ndarray):
    """Outputs, gradient of the input, and the layer's weights after a step, with its gradients."""
    layer.build(x.shape)
    layer.gamma.assign(np.linspace(0.5, 2, x.shape[-1]))
    layer.beta.assign(np.linspace(-1, 1, x.shape[-1]))
    factor = np.random.default_rng(1).normal(size=x.shape)
    with tf.GradientTape() as tape:
        inputs = tf.cast(tf.constant(x), layer.compute_dtype)
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * tf.cast(factor, tf.float32))
    variables = [layer.gamma.value, layer.beta.value]
    of_input, *of_weights = tape.gradient(loss, [inputs, *variables])
    weights = [w.numpy() for w in (layer.moving_mean, layer.moving_variance)]
    return (tf.cast(t, tf.float32).numpy() for t in (outputs, of_input, *of_weights, *weights))


@POLICIES
def test_batch_norm_is_kerass_but_for_bessels_correction(policy):
    x = images()
    ours = keras_layers.BatchNorm(momentum=0.9, epsilon=1e-3, dtype=policy)
    own = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, dtype="float32")
    y, dx, dgamma, dbeta, mean, variance = trained(ours, x)
    y0, dx0, dgamma0, dbeta0, mean0, variance0 = trained(own, x)
    allowed = TOLERANCE[policy]
    for a, b in ((y, y0), (dx, dx0), (mean, mean0)):
        np.testing.assert_allclose(a, b, rtol=allowed, atol=allowed * np.abs(b).max())
    for a, b in ((dgamma, dgamma0), (dbeta, dbeta0)):
        np.testing.assert_allclose(a, b, atol=allowed * np.abs(b).max())
    count = x.size / x.shape[-1]
    expected = 0.9 + (variance0 - 0.9) * count / (count - 1)
    np.testing.assert_allclose(variance, expected, rtol=allowed)


def test_batch_norms_moving_statistics_are_pytorchs():
    x = images((4, 3, 2, 6))
    ours = keras_layers.BatchNorm(momentum=0.9, epsilon=1e-3, dtype="float32")
    *_, mean, variance = trained(ours, x)
    other = torch.nn.BatchNorm2d(6, eps=1e-3, momentum=0.1).train()
    other(torch.from_numpy(x).permute(0, 3, 1, 2))
    np.testing.assert_allclose(mean, other.running_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, other.running_var, rtol=1e-5)


@POLICIES
def test_batch_norm_uses_moving_statistics_in_validation(policy):
    x = images()
    ours = keras_layers.BatchNorm(dtype=policy)
    own = keras.layers.BatchNormalization(dtype="float32")
    for layer in (ours, own):
        layer.build(x.shape)
        layer.moving_mean.assign(np.arange(6.0))
        layer.moving_variance.assign(np.arange(1.0, 7.0))
    a, b = (tf.cast(layer(x, training=False), tf.float32).numpy() for layer in (ours, own))
    np.testing.assert_allclose(a, b, rtol=TOLERANCE[policy], atol=TOLERANCE[policy])


@POLICIES
@pytest.mark.parametrize("rate", [0.25, 0.5, 0.7])
def test_dropout_zeroes_its_share_scales_the_others_up_and_so_its_gradient(policy, rate):
    layer = keras_layers.Dropout(rate, seed=0, dtype=policy)
    x = tf.ones((64, 15, 13, 17), layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
    gradient = tf.cast(tape.gradient(outputs, x), tf.float32).numpy()
    assert outputs.dtype == layer.compute_dtype
    y = tf.cast(outputs, tf.float32).numpy()
    share = (y == 0).mean()
    assert share == pytest.approx(rate, abs=1 / 256 + 0.005)
    (scale,) = np.unique(y[y != 0])
    assert scale == pytest.approx(1 / (1 - rate), rel=0.01)
    np.testing.assert_array_equal(gradient, y)
    for axis in range(4):  # nothing repeats along an axis
        shares = (y == 0).mean(tuple(a for a in range(4) if a != axis))
        deviation = (rate * (1 - rate) * len(shares) / y.size) ** 0.5
        assert np.abs(shares - share).max() < 5 * deviation


def test_dropout_follows_its_seed_and_changes_from_call_to_call():
    x = tf.ones((7, 33))
    first, again = (keras_layers.Dropout(0.5, seed=3) for _ in range(2))
    one = first(x, training=True).numpy()
    np.testing.assert_array_equal(one, again(x, training=True).numpy())
    assert (one != first(x, training=True).numpy()).any()


def test_dropout_does_nothing_in_validation_or_at_rate_zero_but_something_at_a_tiny_rate():
    x = tf.constant(images((400, 100)))
    np.testing.assert_array_equal(keras_layers.Dropout(0.5)(x, training=False), x)
    np.testing.assert_array_equal(keras_layers.Dropout(0.0)(x, training=True), x)
    dropped = keras_layers.Dropout(1e-4, seed=0)(x, training=True).numpy() == 0
    assert 0 < dropped.mean() < 0.01


def test_replicas_draw_apart_and_share_batch_norms_statistics():
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.keras_replicas"],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers["alike"] == []
    assert answers["means"] == pytest.approx([0, 0], abs=1e-5)
