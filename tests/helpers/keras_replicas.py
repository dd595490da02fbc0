"""Two replicas on one CPU, in a process of their own: prints as JSON what `test_keras_layers.py`
asks about them."""

import json

import keras
import numpy as np
import tensorflow as tf

from components.augmentation.keras_augment import augmenter
from components.augmentation.policy import Contrast, Flip, PadCrop, Rotate
from components.networks.keras_layers import BatchNorm, ChannelDropout, Dropout
from serving.contract.image_spec import ImageSpec


def main() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, 2 * [tf.config.LogicalDeviceConfiguration()])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)
    halves = np.split(np.random.default_rng(1).normal(3, 2, (16, 4, 4, 5)).astype(np.float32), 2)
    with strategy.scope():
        spec = ImageSpec(8, 8, 3)
        layers = {
            type(o).__name__: augmenter((o,), spec, 0)
            for o in (Flip(), PadCrop(padding=2), Contrast(fraction=0.5), Rotate(fraction=0.2))
        }
        layers |= {"Dropout": Dropout(0.5), "ChannelDropout": ChannelDropout(0.5)}
        norm = BatchNorm(momentum=0.0, epsilon=1e-3)
        norm.build((None, 4, 4, 5))

    def draw(layer):
        @tf.function
        def on_each():
            return strategy.run(lambda: layer(tf.cast(images, tf.float32), training=True))

        return strategy.experimental_local_results(on_each())

    @tf.function
    def normalise():
        parts = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(halves[context.replica_id_in_sync_group])
        )
        strategy.run(lambda x: norm(x, training=True), (parts,))

    normalise()
    whole = np.concatenate(halves)
    means = [v.numpy() for v in strategy.experimental_local_results(norm.moving_mean.value)]
    answers = {
        "alike": [name for name, layer in layers.items() if np.array_equal(*draw(layer))],
        "means": [float(np.abs(mean - whole.mean((0, 1, 2))).max()) for mean in means],
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
