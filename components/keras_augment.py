"""Augmentation policies on Keras batches, with its preprocessing layers. Twin of
`torch_augment.py`.

The layers never become part of the network: random operations do not survive an export.
"""

import keras

from components.policy import (
    AnyOperation,
    Brightness,
    Contrast,
    Flip,
    PadCrop,
    Policy,
    Rotate,
    Translate,
    Zoom,
)


def augmenter(policy: Policy, seed: int) -> keras.Sequential:
    """A model from images (N, H, W, C), uint8 or float, 0 to 255, to float32 of the same shape.

    Call it with `training=True`. Every parameter is drawn anew for each image, from generators
    seeded by `seed`.
    """
    layers = [_layer(operation, seed + i) for i, operation in enumerate(policy)]
    return keras.Sequential([keras.layers.Lambda(_to_float, name="to_float"), *layers])


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
            return keras.layers.RandomZoom(operation.fraction, **black)
        case PadCrop():
            return _PadCrop(operation.padding, seed)
        case Brightness():
            return _Brightness(operation.fraction, seed)
        case Contrast():
            return keras.layers.RandomContrast(operation.fraction, (0, 255), seed=seed)
    raise TypeError(f"Keras has no translation of the operation {operation!r} yet.")


class _PadCrop(keras.layers.Layer):
    """Shifts each image by whole pixels (keras.layers.RandomCrop cuts a whole batch alike)."""

    def __init__(self, padding: int, seed: int):
        super().__init__()
        self.padding = padding
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images):
        shift = keras.random.randint(
            (keras.ops.shape(images)[0], 2), -self.padding, self.padding + 1, seed=self.generator
        )
        shift = keras.ops.cast(shift, "float32")
        zero, one = keras.ops.zeros_like(shift[:, :1]), keras.ops.ones_like(shift[:, :1])
        # Output (x, y) is read at (x + shift_x, y + shift_y): rows a0 a1 a2, b0 b1 b2, c0 c1.
        matrix = [one, zero, shift[:, :1], zero, one, shift[:, 1:], zero, zero]
        return keras.ops.image.affine_transform(
            images,
            keras.ops.concatenate(matrix, axis=1),
            interpolation="nearest",
            fill_mode="constant",
            fill_value=0,
        )


class _Brightness(keras.layers.Layer):
    """Multiplies each image by a factor of its own (keras.layers.RandomBrightness adds)."""

    def __init__(self, fraction: float, seed: int):
        super().__init__()
        self.fraction = fraction
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images):
        factor = keras.random.uniform(
            (keras.ops.shape(images)[0], 1, 1, 1),
            1 - self.fraction,
            1 + self.fraction,
            seed=self.generator,
        )
        return keras.ops.clip(images * factor, 0, 255)
