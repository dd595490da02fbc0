"""What a user gives to TFX's Transform and Trainer, as its tutorials write it, in Keras 3.

Both are found by their names: `benchmarks.plain_model_tfx.run_fn`.
"""

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.trainer.fn_args_utils import DataAccessor, FnArgs
from tfx_bsl.public import tfxio

from benchmarks.tutorial import BATCH, LEARNING_RATE
from benchmarks.tutorial_keras import augmentation, cifar10

SHAPE = (32, 32, 3)
IMAGE, LABEL = "image", "label"


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Encoded images (N, 1) to float32 (N, 32, 32, 3) from 0 to 1."""

    def decode(data: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_png(data, channels=SHAPE[-1])
        return tf.ensure_shape(tf.cast(image, tf.float32) / 255, SHAPE)

    data = tf.reshape(inputs[IMAGE], [-1])
    images = tf.map_fn(decode, data, fn_output_signature=tf.TensorSpec(SHAPE, tf.float32))
    return {IMAGE: images, LABEL: inputs[LABEL]}


def run_fn(arguments: FnArgs) -> None:
    """Trains the tutorial's network and saves it with a signature for serialized tf.Examples.

    `train_steps` are those of all `custom_config["epochs"]` together.
    """
    transform = tft.TFTransformOutput(arguments.transform_output)
    schema = transform.transformed_metadata.schema
    epochs = arguments.custom_config["epochs"]
    model = keras.Sequential([keras.Input(SHAPE), *augmentation(), *cifar10()])
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        _batches(arguments.train_files, arguments.data_accessor, schema),
        epochs=epochs,
        steps_per_epoch=arguments.train_steps // epochs,
        validation_data=_batches(arguments.eval_files, arguments.data_accessor, schema),
        validation_steps=arguments.eval_steps,
        verbose=2,
    )
    _save(model, transform, arguments.serving_model_dir)


def _batches(
    files: list[str], accessor: DataAccessor, schema: schema_pb2.Schema
) -> tf.data.Dataset:
    """Transformed examples without end, shuffled, as (images, labels)."""
    options = tfxio.TensorFlowDatasetOptions(batch_size=BATCH, label_key=LABEL)
    dataset = accessor.tf_dataset_factory(files, options, schema)
    return dataset.map(lambda features, label: (features[IMAGE], label)).prefetch(tf.data.AUTOTUNE)


def _save(model: keras.Model, transform: tft.TFTransformOutput, directory: str) -> None:
    """As a SavedModel whose default signature does what Transform did before it predicts."""
    layer = transform.transform_features_layer()
    spec = {IMAGE: transform.raw_feature_spec()[IMAGE]}

    def serve(examples: tf.Tensor) -> tf.Tensor:
        features = layer(tf.io.parse_example(examples, spec))
        return model(features[IMAGE], training=False)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(layer)  # of Keras 2, which Transform still is: a trackable like any other
    archive.add_endpoint(
        "serving_default", serve, input_signature=[tf.TensorSpec([None], tf.string, "examples")]
    )
    archive.write_out(directory, verbose=False)
