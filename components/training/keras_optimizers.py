"""Keras's optimisers with the rules of PyTorch's, each update one fused operation of TensorFlow.

Adam   Keras adds epsilon to the root of the second moment before its bias is corrected, PyTorch
       after (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1): for small gradients that is up to
       thirty times as much in the first steps.
SGD    Keras's velocity holds gradients times the rate of their own step, PyTorch's the gradients:
       they part when a schedule changes the rate.

Muon   Keras's own leaves the kernels of convolutions to Adam, and its momentum is an average. Twin
       of `torch_optimizers.py`.

Decoupled weight decay is Keras's own: it takes rate x weight_decay x variable before the update.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from components.training.recipe import ADAM_EPSILON, MUON_RMS, ORTHOGONALIZED


class Adam(keras.optimizers.Adam):
    """Adam, and with `weight_decay` AdamW."""

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        first, second = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=first,
            beta2_power=second,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=ADAM_EPSILON * tf.sqrt(1 - second),
            grad=tf.convert_to_tensor(gradient),
        )


class SGD(keras.optimizers.SGD):
    """With Nesterov momentum, or without any."""

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        rate = tf.cast(learning_rate, tf.float32)
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
            return
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=rate,
            grad=tf.convert_to_tensor(gradient),
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


class Muon(Adam):
    """Steps kernels along the nearest orthogonal matrix to their momentum, a column for each
    output; all else by Adam at the same rate."""

    def __init__(self, learning_rate: float, momentum: float, **options: Any):
        super().__init__(learning_rate, **options)
        self._momentum = momentum

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        if len(variable.shape) < 2:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, self._momentum * momentum + gradient)
        ahead = gradient + self._momentum * momentum
        update = _orthogonal(tf.reshape(ahead, (-1, variable.shape[-1])))
        scale = MUON_RMS * math.sqrt(max(update.shape))
        rate = tf.cast(learning_rate, tf.float32)
        self.assign_sub(variable, rate * scale * tf.reshape(update, variable.shape))


def _orthogonal(matrix: tf.Tensor) -> tf.Tensor:
    """float32 (A, B), with singular values near one."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if tall else matrix
    x = x / (tf.norm(x) + ADAM_EPSILON)
    for first, third, fifth in ORTHOGONALIZED:
        square = tf.matmul(x, x, transpose_b=True)
        x = first * x + tf.matmul(third * square + fifth * tf.matmul(square, square), x)
    return tf.transpose(x) if tall else x
