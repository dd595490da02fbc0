"""THE preprocessing graph: what `serving/contract/image_spec.py` says, as TensorFlow operations.

TFX's Transform runs `preprocessing_fn` once to trace it (no analyzers: nothing is read); pack and
every SavedModel's `serving_bytes` then use the same graph.
"""

from typing import TypeAlias

import tensorflow as tf

from serving.contract.image_spec import ImageSpec

_JPEG = b"\xff\xd8"
_Pixels: TypeAlias = int | tf.Tensor


def preprocessing_fn(inputs: dict, custom_config: dict) -> dict:
    """`image_bytes` (string, N or N,1) to `image`: float32, N and `packed_shape`, whole numbers
    from 0 to 255.

    `custom_config["image_spec"]` is an ImageSpec as JSON: the one way TFX has to hand a parameter
    to this function. TFX cannot carry uint8 here, so consumers cast.
    """
    spec = ImageSpec.from_json(custom_config["image_spec"])
    return {"image": decode_batch(tf.reshape(inputs["image_bytes"], [-1]), spec)}


def decode_batch(data: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Encoded JPEG or PNG (string, N) to float32 (N and `packed_shape`); any other format
    is an error."""
    return tf.map_fn(
        lambda one: _decode(one, spec),
        data,
        fn_output_signature=tf.TensorSpec(spec.packed_shape, tf.float32),
    )


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """One encoded JPEG or PNG (string) to uint8 (H, W, C), C from 1 to 4.

    As Pillow does it, 16-bit grey is scaled and rounded, of 16-bit colour the high bytes are taken.
    EXIF orientation is ignored: ingest has turned such files upright, other callers must.
    """

    def png() -> tf.Tensor:
        # Bit depth 16, colour type grey: for the rest TensorFlow drops low bytes like Pillow.
        wide = tf.equal(tf.strings.substr(data, 24, 2), b"\x10\x00")
        return tf.cond(wide, scaled, lambda: tf.io.decode_png(data))

    def scaled() -> tf.Tensor:
        values = tf.cast(tf.io.decode_png(data, dtype=tf.uint16), tf.int32)
        return tf.cast((values + 128) // 257, tf.uint8)

    # INTEGER_ACCURATE is Pillow's method; TensorFlow's default differs by a few grey levels.
    return tf.cond(
        tf.equal(tf.strings.substr(data, 0, 2), _JPEG),
        lambda: tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE"),
        png,
    )


def _decode(data: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    image = decode_image(data)

    def adapt() -> tf.Tensor:
        return _fit(_convert_channels(image, spec.channels), spec)

    # What has the packed shape already comes out of all this as it went in, only much later.
    fits = tf.reduce_all(tf.equal(tf.shape(image), spec.packed_shape))
    image = tf.cond(fits, lambda: tf.cast(image, tf.float32), adapt)
    return tf.ensure_shape(image, spec.packed_shape)


def _convert_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """1 to 4 channels to 1 or 3: alpha is dropped, grey by Pillow's integer weights (ITU-R 601)."""
    found = tf.shape(image)[-1]
    grey = found < 3
    if channels == 3:
        return tf.cond(grey, lambda: tf.repeat(image[..., :1], 3, axis=-1), lambda: image[..., :3])

    def luma() -> tf.Tensor:
        red, green, blue = tf.unstack(tf.cast(image[..., :3], tf.int32), 3, axis=-1)
        weighted = red * 19595 + green * 38470 + blue * 7471 + 0x8000
        return tf.cast(tf.bitwise.right_shift(weighted, 16), tf.uint8)[..., None]

    return tf.cond(grey, lambda: image[..., :1], luma)


def _fit(image: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """(h, w, C) to float32 of the packed shape, as `image_spec.fit_packed`."""
    packed_height, packed_width, _ = spec.packed_shape
    if spec.fit == "pad":
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        top, left, height, width = _center_box(packed_height, packed_width, height, width)
        rows, columns = (top, packed_height - top - height), (left, packed_width - left - width)
        return tf.pad(_resize(image, (height, width)), (rows, columns, (0, 0)))
    if spec.fit == "crop":
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        top, left, height, width = _center_box(height, width, packed_height, packed_width)
        image = image[top : top + height, left : left + width]
    return _resize(image, (packed_height, packed_width))


def _resize(image: tf.Tensor, size: tuple[_Pixels, _Pixels]) -> tf.Tensor:
    resized = tf.image.resize(image, size, "bilinear", antialias=True)
    return tf.clip_by_value(tf.round(resized), 0.0, 255.0)


def _center_box(
    height: _Pixels, width: _Pixels, ratio_height: _Pixels, ratio_width: _Pixels
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """`image_spec.center_box` of sides that only the graph knows."""
    wide = width * ratio_height > height * ratio_width
    box_height = tf.where(wide, height, tf.maximum(1, (width * ratio_height) // ratio_width))
    box_width = tf.where(wide, tf.maximum(1, (height * ratio_width) // ratio_height), width)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
