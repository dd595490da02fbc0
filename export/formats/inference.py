"""Inference as TensorFlow graphs, from which SavedModel, TFLite and Keras's ONNX are made.

  image        uint8 (N, H, W, C) -> probabilities float32 (N, classes)
  image_bytes  string (N,), JPEG or PNG each -> probabilities float32 (N, classes)

The second one runs the data line's own transform graph, so that a caller who has files cannot
prepare them in another way than the training data was.

TensorFlow knows no EXIF orientation: `image_bytes` sees a rotated photograph as it lies in the
file, where training and `image_spec.decode` turn it. Callers must turn such files upright first.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.networks import keras_model
from components.networks.custom_network import AnyArchitecture
from export.formats import contract as contracts

TRANSFORM_FN = "transform_fn"


class Inference(tf.Module):
    """A Keras model's inference as tf.functions; of the model only its variables are kept.

    `model` is that of a network of `architecture`. `transform` maps encoded images, string (N,), to
    float32 images of the packed size on a 0-to-255 scale, whose centre the model takes; without it
    there is no `serving_bytes`. Logits are divided by `temperature`.
    """

    def __init__(
        self,
        model: Any,
        architecture: AnyArchitecture,
        transform: Callable | None = None,
        transform_root: Any = None,
        temperature: float = 1.0,
    ):
        super().__init__(name="inference")
        # Not the model itself, with which Keras would add layers, configurations and functions of
        # training, nor its `variables`, which count the states of random generators.
        self.weights = [variable.value for variable in model.weights]
        self.transform_root = transform_root
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name=contracts.IMAGE)
        encoded = tf.TensorSpec((None,), tf.string, name=contracts.IMAGE_BYTES)

        def probabilities(image: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = model(tf.cast(image, tf.float32), training=False)
            found = keras_model.probabilities(outputs, architecture, temperature)
            return {contracts.PROBABILITIES: tf.identity(found, name=contracts.PROBABILITIES)}

        self.image = tf.function(probabilities, input_signature=[spec])
        self.image_bytes: Any = None
        if transform is None:
            return

        def from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            # The transform's outputs cannot be uint8; the packed arrays are, rounded like this.
            pixels = tf.clip_by_value(tf.round(transform(image_bytes)), 0.0, 255.0)
            pixels = _crop_center(tf.cast(pixels, tf.uint8), *spec.shape[1:3])
            return probabilities(tf.ensure_shape(pixels, spec.shape))

        self.image_bytes = tf.function(from_bytes, input_signature=[encoded])


def inference(
    model: Any,
    architecture: AnyArchitecture,
    transform_graph: str | Path | None = None,
    temperature: float = 1.0,
) -> Inference:
    """`Inference` of a Keras model, with the transform graph artifact at `transform_graph`."""
    if transform_graph is None:
        return Inference(model, architecture, temperature=temperature)
    path = Path(transform_graph) / TRANSFORM_FN
    if not path.is_dir():
        raise ValueError(f"{path} is missing: expected the TransformGraph of the Transform step.")
    loaded = tf.saved_model.load(str(path))
    return Inference(model, architecture, _image_of(loaded.transform_fn), loaded, temperature)


def _crop_center(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """As `image_spec.crop_center`; the margins are what the images have more."""
    shape = tf.shape(images)
    top, left = (shape[1] - height) // 2, (shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def _image_of(transform_fn: Any) -> Callable:
    """Encoded images (N,) to the transform's `image`, out of a graph over all raw features.

    The graph was traced with every feature of the schema (label, checksum, ...). Those that `image`
    does not depend on are fed empty stand-ins, which graph optimisation removes.
    """
    (features,), _ = transform_fn.structured_input_signature
    if contracts.IMAGE_BYTES not in features:
        raise ValueError(
            f"the transform graph takes {sorted(features)}, expected a raw feature "
            f"{contracts.IMAGE_BYTES!r}."
        )

    def image(image_bytes: tf.Tensor) -> tf.Tensor:
        rows = tf.shape(image_bytes)[0]
        fed = {
            name: _feed(spec, image_bytes) if name == contracts.IMAGE_BYTES else _empty(spec, rows)
            for name, spec in features.items()
        }
        return transform_fn(*tf.nest.flatten(fed, expand_composites=True))[contracts.IMAGE]

    return image


def _feed(spec: Any, values: tf.Tensor) -> Any:
    """`values` (N,) in the form that the raw feature has: (N,), (N, 1) or sparse (N, 1)."""
    if isinstance(spec, tf.SparseTensorSpec):
        rows = tf.shape(values, tf.int64)[0]
        indices = tf.stack([tf.range(rows), tf.zeros([rows], tf.int64)], axis=1)
        return tf.SparseTensor(indices, values, tf.stack([rows, 1]))
    return values if spec.shape.rank == 1 else tf.reshape(values, [-1, 1])


def _empty(spec: Any, rows: tf.Tensor) -> Any:
    """A value of the raw feature's type and shape that says nothing."""
    if isinstance(spec, tf.SparseTensorSpec):
        shape = tf.stack(
            [
                tf.cast(rows, tf.int64),
                *[tf.constant(0, tf.int64)] * (spec.shape.rank - 1),
            ]
        )
        return tf.SparseTensor(
            tf.zeros([0, spec.shape.rank], tf.int64), tf.zeros([0], spec.dtype), shape
        )
    inner = [size or 1 for size in spec.shape.as_list()[1:]]
    return tf.zeros([rows, *inner], spec.dtype)
