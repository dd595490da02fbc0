"""Keras's optimisers with the rules of PyTorch's, each update one fused operation of TensorFlow.

Adam   Keras adds epsilon to the root of the second moment before its bias is corrected, PyTorch
       after (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1): for small gradients that is up to
       thirty times as much in the first steps.
SGD    Keras's velocity holds gradients times the rate of their own step, PyTorch's the gradients:
       they part when a schedule changes the rate.

Decoupled weight decay is Keras's own: it takes rate x weight_decay x variable before the update.
"""

import keras
import tensorflow as tf

from components.training import ADAM_EPSILON


class Adam(keras.optimizers.Adam):
    """Adam, and with `weight_decay` AdamW."""

    def update_step(self, gradient, variable, learning_rate):
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

    def update_step(self, gradient, variable, learning_rate):
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
