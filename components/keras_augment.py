"""Augmentation policies on Keras batches, with its preprocessing layers where they do what the
policy says. Twin of `torch_augment.py`.

The layers never become part of the network: random operations do not survive an export.
"""

import keras
import tensorflow as tf

from components.image_spec import ImageSpec
from components.keras_layers import float32_policy
from components.policy import (
    AnyOperation,
    Brightness,
    Contrast,
    Cutout,
    Flip,
    PadCrop,
    Policy,
    Rotate,
    Translate,
    Zoom,
)


def augmenter(policy: Policy, spec: ImageSpec, seed: int) -> keras.Sequential:
    """A model from images (N, H, W, C) of the packed size, uint8 or float, 0 to 255, to float32
    (N, H, W, C) of `spec`'s size.

    Call it with `training=True`. Where there is a margin it begins with a random crop. Every
    parameter is drawn anew for each image, from generators seeded by `seed`.
    """
    with float32_policy():  # images lose too much in bfloat16, and some layers cannot take it
        layers = [keras.layers.Lambda(_to_float, name="to_float")]
        if spec.packed_shape != spec.shape:
            layers.append(_RandomCrop(spec.height, spec.width, seed))
        layers += [_layer(operation, seed + i) for i, operation in enumerate(policy, start=1)]
        return keras.Sequential(layers)


def _to_float(images):
    return keras.ops.cast(images, "float32")


def _layer(operation: AnyOperation, seed: int) -> keras.layers.Layer:
    black = {"fill_mode": "constant", "fill_value": 0.0, "seed": seed}
    match operation:
        case Flip():
            return keras.layers.RandomFlip("horizontal", seed=seed)
        case Translate():
            return keras.layers.RandomTranslation(operation.fraction, operation.fraction, **black)
        case Rotate():
            return keras.layers.RandomRotation(operation.fraction, **black)
        case Zoom():
            return _Zoom(operation.fraction, **black)
        case PadCrop():
            return _PadCrop(operation.padding, seed)
        case Brightness():
            return _Brightness(operation.fraction, seed)
        case Contrast():
            # A single number would draw factors from 1 up (Keras 3.15).
            both_ways = (operation.fraction, operation.fraction)
            return keras.layers.RandomContrast(both_ways, (0, 255), seed=seed)
        case Cutout():
            return _Cutout(operation.fraction, seed)
    raise TypeError(f"Keras has no translation of the operation {operation!r} yet.")


class _Zoom(keras.layers.RandomZoom):
    """Scales by the factor drawn (keras.layers.RandomZoom scales by its reciprocal)."""

    def get_random_transformation(self, data, training=True, seed=None):
        drawn = super().get_random_transformation(data, training, seed)
        return drawn and drawn | {k: 1 / drawn[k] for k in ("height_zoom", "width_zoom")}


class _Drawing(keras.layers.Layer):
    """Draws for each image by itself."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator = keras.random.SeedGenerator(seed)

    def whole(self, images, count):
        """int32 (N, 1), from 0 to count - 1."""
        shape = (keras.ops.shape(images)[0], 1)
        return keras.random.randint(shape, 0, count, seed=self.generator)


class _RandomCrop(_Drawing):
    """Cuts each image at a place of its own (keras.layers.RandomCrop cuts a whole batch alike)."""

    def __init__(self, height: int, width: int, seed: int):
        super().__init__(seed)
        self.height, self.width = height, width

    def call(self, images):
        for axis, size in ((1, self.height), (2, self.width)):
            first = self.whole(images, keras.ops.shape(images)[axis] - size + 1)
            images = tf.gather(images, first + tf.range(size), axis=axis, batch_dims=1)
        return images


class _PadCrop(_RandomCrop):
    """Shifts each image by whole pixels."""

    def __init__(self, padding: int, seed: int):
        super().__init__(0, 0, seed)
        self.padding = padding

    def build(self, shape):
        self.height, self.width = shape[1:3]

    def call(self, images):
        sides = (self.padding, self.padding)
        return super().call(tf.pad(images, ((0, 0), sides, sides, (0, 0))))


class _Brightness(_Drawing):
    """Multiplies each image by a factor of its own (keras.layers.RandomBrightness adds)."""

    def __init__(self, fraction: float, seed: int):
        super().__init__(seed)
        self.fraction = fraction

    def call(self, images):
        factor = keras.random.uniform(
            (keras.ops.shape(images)[0], 1, 1, 1),
            1 - self.fraction,
            1 + self.fraction,
            seed=self.generator,
        )
        return keras.ops.clip(images * factor, 0, 255)


class _Cutout(_Drawing):
    """Blackens squares of one size whose centres may lie anywhere (keras.layers.RandomErasing
    draws the size too)."""

    def __init__(self, fraction: float, seed: int):
        super().__init__(seed)
        self.fraction = fraction

    def call(self, images):
        height, width = images.shape[1:3]
        side = max(1, round(self.fraction * min(height, width)))

        def covered(size):
            place = tf.range(size) - (self.whole(images, size) - side // 2)
            return (place >= 0) & (place < side)

        hole = covered(height)[:, :, None, None] & covered(width)[:, None, :, None]
        return tf.where(hole, 0.0, images)
