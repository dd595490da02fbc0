"""Losses and penalties of both frameworks are what their formulas say."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from components.training import keras_losses, torch_losses
from components.training.config import TrainConfig
from tests.helpers import losses

BOTH = pytest.mark.parametrize("framework", ["keras", "torch"])


def computed(framework: str, outputs: np.ndarray, labels: np.ndarray, kind: str, smoothing: float):
    """float32 (N,): losses, and float32 (N, units): gradients of their sum."""
    described = losses.architecture(kind)
    if framework == "torch":
        tensor = torch.from_numpy(outputs).requires_grad_()
        found = torch_losses.losses(tensor, torch.from_numpy(labels), described, smoothing)
        found.sum().backward()
        return found.detach().numpy(), tensor.grad.numpy()
    with tf.GradientTape() as tape:
        tensor = tf.constant(outputs)
        tape.watch(tensor)
        found = keras_losses.losses(tensor, tf.constant(labels), described, smoothing)
    return found.numpy(), tape.gradient(found, tensor).numpy()


@BOTH
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", losses.KINDS)
def test_losses_are_cross_entropies_of_smoothed_labels(framework, kind, smoothing):
    found, _ = computed(framework, *losses.example(kind), kind, smoothing)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, losses.expected(kind, smoothing), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", losses.KINDS)
def test_both_frameworks_have_the_same_losses_and_gradients(kind, smoothing):
    (a, da), (b, db) = (
        computed(f, *losses.example(kind), kind, smoothing) for f in ("keras", "torch")
    )
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(da, db, rtol=1e-5, atol=1e-6)


@BOTH
@pytest.mark.parametrize("kind", losses.KINDS)
def test_certain_and_wrong_answers_have_finite_losses_and_gradients(framework, kind):
    units, function = losses.KINDS[kind]
    extreme = {None: [-1e4, 1e4], "log_softmax": [-1e4, 0.0]}.get(function, [0.0, 1.0])
    outputs = np.full((4, units), extreme[0], np.float32)
    outputs[:2, 0] = extreme[1]
    labels = np.array([0, 1, 0, 1])
    found, gradients = computed(framework, outputs, labels, kind, 0.0)
    assert np.isfinite(found).all() and np.isfinite(gradients).all()
    assert found.max() > 10


@BOTH
@pytest.mark.parametrize("kind", losses.KINDS)
def test_the_most_probable_class_is_predicted(framework, kind):
    outputs, _ = losses.example(kind)
    described = losses.architecture(kind)
    if framework == "torch":
        found = torch_losses.predicted(torch.from_numpy(outputs), described)
    else:
        found = keras_losses.predicted(tf.constant(outputs), described)
    assert found.numpy().dtype == np.int64
    np.testing.assert_array_equal(found.numpy(), losses.right_answers(kind))


@BOTH
@pytest.mark.parametrize("kind", losses.KINDS)
def test_reduced_outputs_have_losses_in_float32(framework, kind):
    outputs, labels = losses.example(kind)
    described = losses.architecture(kind)
    reduced = torch.from_numpy(outputs).bfloat16()
    expected, _ = computed(framework, reduced.float().numpy(), labels, kind, 0.1)
    if framework == "torch":
        found = torch_losses.losses(reduced, torch.from_numpy(labels), described, 0.1)
        assert found.dtype == torch.float32
    else:
        reduced = tf.cast(tf.constant(reduced.float().numpy()), tf.bfloat16)
        found = keras_losses.losses(reduced, tf.constant(labels), described, 0.1)
        assert found.dtype == tf.float32
    np.testing.assert_array_equal(found.numpy(), expected)


@BOTH
def test_penalties_are_sums_over_the_kernels_themselves(framework):
    kernels = [np.random.default_rng(n).normal(size=(3, 4)).astype(np.float32) for n in (0, 1)]
    flat = np.concatenate(kernels).astype(np.float64)
    config = TrainConfig(epochs=1, l1=0.25, l2=0.5)
    expected = 0.25 * np.abs(flat).sum() + 0.5 * (flat**2).sum()
    if framework == "torch":
        convert, module = torch.from_numpy, torch_losses
    else:
        convert, module = tf.constant, keras_losses
    tensors = [convert(kernel) for kernel in kernels]
    assert float(module.penalty(tensors, config)) == pytest.approx(expected, rel=1e-6)
    assert module.penalty(tensors, TrainConfig(epochs=1)) == 0.0
