"""Augmentation policies on Keras batches, every parameter drawn for each image. Twin of
`torch_augment.py`.

The layers never become part of the network: random operations do not survive an export.
"""

import functools
import itertools
import math
from typing import Any

import keras
import tensorflow as tf

from components.augmentation.policy import (
    GEOMETRY,
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
from components.augmentation.sizes import sides
from components.networks.keras_layers import draw_seed, float32_policy
from serving.contract.image_spec import ImageSpec


def augmenter(policy: Policy, spec: ImageSpec, seed: int) -> keras.Sequential:
    """A model from images (N, H, W, C) of the packed size, uint8 or float, 0 to 255, to float32
    (N, H, W, C) of `spec`'s size.

    Call it with `training=True`. Where there is a margin it begins with a random crop. Every
    parameter is drawn anew for each image, from generators seeded by `seed`. Neighbouring
    translations, rotations and zooms become one resampling, so that small images are blurred once.
    """
    with float32_policy():  # images lose too much in bfloat16, and some layers cannot take it
        layers = [keras.layers.Lambda(_to_float, name="to_float")]
        if spec.packed_shape != spec.shape:
            layers.append(_RandomCrop(spec.height, spec.width, seed))
        for affine, group in itertools.groupby(policy, lambda o: isinstance(o, GEOMETRY)):
            operations = list(group)
            for part in [operations] if affine else [[o] for o in operations]:
                layers.append(_layer(part, seed + len(layers)))
        return keras.Sequential(layers)


def shrink(images: tf.Tensor, scale: float) -> tf.Tensor:
    """Images (N, H, W, C) as float32 with sides of `scale` times as many pixels: bilinear, with
    smoothing against aliases."""
    return tf.image.resize(images, sides(images.shape[1:3], scale), "bilinear", antialias=True)


def _to_float(images: tf.Tensor) -> tf.Tensor:
    return keras.ops.cast(images, "float32")


def _layer(operations: list[AnyOperation], seed: int) -> keras.layers.Layer:
    """One operation, or neighbouring ones of `GEOMETRY`."""
    match operations[0]:
        case Translate() | Rotate() | Zoom():
            return _Resample(operations, seed)
        case Flip():
            return _Flip(seed)
        case PadCrop():
            return _PadCrop(operations[0], seed)
        case Brightness(fraction=fraction):
            return _Brightness(fraction, seed)
        case Contrast(fraction=fraction):
            return _Contrast(fraction, seed)
        case Cutout(fraction=fraction):
            return _Cutout(fraction, seed)
    raise TypeError(f"Keras has no translation of the operation {operations[0]!r} yet.")


class _Drawing(keras.layers.Layer):
    """Draws for each image by itself."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator = keras.random.SeedGenerator(seed)

    def whole(self, images: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
        """int32 (N, 1), from 0 to count - 1."""
        seed = draw_seed(self.generator)
        return tf.random.stateless_uniform((tf.shape(images)[0], 1), seed, 0, count, tf.int32)

    def uniform(self, images: tf.Tensor, limit: float) -> tf.Tensor:
        """float32 (N,), from -limit to limit."""
        return tf.random.stateless_uniform(
            tf.shape(images)[:1], draw_seed(self.generator), -limit, limit
        )


class _Resample(_Drawing):
    """All the operations in one bilinear resampling, which blurs small images once (Keras's layers
    would blur them once each); the border is zero."""

    def __init__(self, operations: list[AnyOperation], seed: int):
        super().__init__(seed)
        self.operations = operations

    def call(self, images: tf.Tensor) -> tf.Tensor:
        matrix = functools.reduce(tf.matmul, [self._source(o, images) for o in self.operations])
        # From pixels counted from the corner to ones counted from the centre, and back.
        height, width = images.shape[1:3]
        centre = tf.constant([[(width - 1) / 2], [(height - 1) / 2]])
        linear = matrix[:, :2, :2]
        shift = matrix[:, :2, 2:] + centre - linear @ centre
        rows = tf.reshape(tf.concat([linear, shift], 2), (-1, 6))
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.pad(rows, ((0, 0), (0, 2))),
            output_shape=(height, width),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )

    def _source(self, operation: AnyOperation, images: tf.Tensor) -> tf.Tensor:
        """float32 (N, 3, 3): where in the source each place (x, y, 1) of the result is read, in
        pixels from the centre."""
        height, width = images.shape[1:3]
        zero = tf.zeros(tf.shape(images)[:1])
        one = zero + 1
        match operation:
            case Translate(fraction=fraction):
                x = self.uniform(images, fraction) * width
                y = self.uniform(images, fraction) * height
                rows = [one, zero, x, zero, one, y]
            case Rotate(fraction=fraction):
                angle = self.uniform(images, 2 * math.pi * fraction)
                sine, cosine = tf.sin(angle), tf.cos(angle)
                rows = [cosine, -sine, zero, sine, cosine, zero]
            case Zoom(fraction=fraction):
                scale = 1 / (1 + self.uniform(images, fraction))
                rows = [scale, zero, zero, zero, scale, zero]
        return tf.reshape(tf.stack([*rows, zero, zero, one], 1), (-1, 3, 3))


class _RandomCrop(_Drawing):
    """Cuts each image at a place of its own (keras.layers.RandomCrop cuts a whole batch alike)."""

    def __init__(self, height: int, width: int, seed: int):
        super().__init__(seed)
        self.height, self.width = height, width

    def call(self, images: tf.Tensor) -> tf.Tensor:
        for axis, size in ((1, self.height), (2, self.width)):
            first = self.whole(images, tf.shape(images)[axis] - size + 1)
            images = tf.gather(images, first + tf.range(size), axis=axis, batch_dims=1)
        return images


class _PadCrop(_RandomCrop):
    """Shifts each image by whole pixels."""

    def __init__(self, operation: PadCrop, seed: int):
        super().__init__(0, 0, seed)
        self.padding = operation.padding
        self.mode = {"zero": "CONSTANT", "reflect": "REFLECT"}[operation.border]

    def build(self, shape: tuple[Any, ...]) -> None:
        self.height, self.width = shape[1:3]

    def call(self, images: tf.Tensor) -> tf.Tensor:
        sides = (self.padding, self.padding)
        return super().call(tf.pad(images, ((0, 0), sides, sides, (0, 0)), self.mode))


class _Flip(_Drawing):
    """Mirrors every other image, by chance."""

    def call(self, images: tf.Tensor) -> tf.Tensor:
        flipped = self.uniform(images, 1.0) < 0
        return tf.where(flipped[:, None, None, None], images[:, :, ::-1], images)


class _Contrast(_Drawing):
    """Moves each image's values from their mean, or to it, by a factor of its own
    (keras.layers.RandomContrast only raises contrast when given one number)."""

    def __init__(self, fraction: float, seed: int):
        super().__init__(seed)
        self.fraction = fraction

    def call(self, images: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(images, (1, 2), keepdims=True)
        factor = 1 + self.uniform(images, self.fraction)[:, None, None, None]
        return tf.clip_by_value(mean + (images - mean) * factor, 0.0, 255.0)


class _Brightness(_Drawing):
    """Multiplies each image by a factor of its own (keras.layers.RandomBrightness adds)."""

    def __init__(self, fraction: float, seed: int):
        super().__init__(seed)
        self.fraction = fraction

    def call(self, images: tf.Tensor) -> tf.Tensor:
        factor = 1 + self.uniform(images, self.fraction)[:, None, None, None]
        return tf.clip_by_value(images * factor, 0.0, 255.0)


class _Cutout(_Drawing):
    """Blackens squares of one size whose centres may lie anywhere (keras.layers.RandomErasing
    draws the size too)."""

    def __init__(self, fraction: float, seed: int):
        super().__init__(seed)
        self.fraction = fraction

    def call(self, images: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        side = max(1, round(self.fraction * min(height, width)))

        def covered(size: int) -> tf.Tensor:
            place = tf.range(size) - (self.whole(images, size) - side // 2)
            return (place >= 0) & (place < side)

        hole = covered(height)[:, :, None, None] & covered(width)[:, None, :, None]
        return tf.where(hole, 0.0, images)
