"""Losses and penalties in Keras: `torch_losses.py` gives the formulas. Twin of that."""

import tensorflow as tf

from components.networks.custom_network import AnyArchitecture
from components.training.config import TrainConfig
from components.training.recipe import SMALLEST_PROBABILITY


@tf.autograph.experimental.do_not_convert  # which does not know `match`, and has nothing to do
def losses(
    outputs: tf.Tensor, labels: tf.Tensor, architecture: AnyArchitecture, smoothing: float
) -> tf.Tensor:
    """float32 (N,): the loss of each image, for outputs (N, units) and labels int64 (N,)."""
    outputs = tf.cast(outputs, tf.float32)
    if architecture.units == 1:
        target = tf.cast(labels, tf.float32) * (1 - smoothing) + smoothing / 2
        if architecture.output == "logits":
            return tf.nn.sigmoid_cross_entropy_with_logits(target, outputs[:, 0])
        p = tf.clip_by_value(outputs[:, 0], SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return -(target * tf.math.log(p) + (1 - target) * tf.math.log(1 - p))
    match architecture.output:
        case "logits":
            logs = tf.nn.log_softmax(outputs)
        case "probabilities":
            logs = tf.math.log(tf.maximum(outputs, SMALLEST_PROBABILITY))
        case _:
            logs = outputs
    own = tf.gather(logs, labels, axis=1, batch_dims=1)
    return -(1 - smoothing) * own - smoothing * tf.reduce_mean(logs, 1)


def predicted(outputs: tf.Tensor, architecture: AnyArchitecture) -> tf.Tensor:
    """int64 (N,): the most probable class."""
    if architecture.units == 1:
        threshold = 0.0 if architecture.output == "logits" else 0.5
        return tf.cast(outputs[:, 0] > threshold, tf.int64)
    return tf.argmax(outputs, 1)


def penalty(kernels: list, config: TrainConfig) -> tf.Tensor | float:
    """The L1 and L2 terms of a batch's loss, 0.0 without any."""
    total: tf.Tensor | float = 0.0
    if config.l1:
        total += config.l1 * tf.add_n([tf.reduce_sum(tf.abs(kernel)) for kernel in kernels])
    if config.l2:
        total += config.l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
    return total
