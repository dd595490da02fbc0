"""Trains the Keras network in a process of its own: `python -m components.train_keras ARGS.json`.

Twin of `train_torch.py`: the same functions in the same order.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components import keras_augment, keras_model
from components.arrays import ImageArrays, Split
from components.image_spec import ImageSpec
from components.training import (
    TrainArgs,
    network_for,
    open_split,
    read_class_weights,
    read_index,
    read_policy,
    run,
    shuffled_batches,
    thread_count,
    training_split,
)
from components.training_record import ScalarWriter, TrainingRecord

CHECKPOINT = "best.weights.h5"
EVALUATION_BATCH = 500


def main(args: TrainArgs) -> None:
    """Trains, then writes the model directory and the run directory of `args`."""
    arrays = ImageArrays(args.arrays)
    network = network_for(args, arrays, "keras")
    description = choose_device(args.train.threads)
    keras.utils.set_random_seed(args.train.seed)
    model = keras_model.build(network)
    record = TrainingRecord(
        "keras",
        description,
        keras_model.parameter_count(model),
        args.train,
        args.run_dir,
        scalar_writer(args.run_dir / "tensorboard"),
    )
    with record:
        train(args, model, arrays, record)
        keras_model.save(model, network, args.model_dir)
        record.finish()


def choose_device(threads: int) -> str:
    """CUDA, then CPU with that many threads (0 for all cores): TensorFlow places everything on a
    GPU that it sees. Call it before anything else of TensorFlow; returns the description."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return f"cuda ({name})"
    tf.config.threading.set_intra_op_parallelism_threads(thread_count(threads))
    tf.config.threading.set_inter_op_parallelism_threads(thread_count(threads))
    return f"cpu, {thread_count(threads)} threads"


def scalar_writer(directory: Path) -> ScalarWriter:
    """TensorBoard's writer."""
    return _SummaryWriter(directory)


class _SummaryWriter:
    """`tf.summary` behind the two methods that a record needs."""

    def __init__(self, directory: Path):
        self._writer = tf.summary.create_file_writer(str(directory))

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        with self._writer.as_default():
            tf.summary.scalar(tag, value, step)

    def close(self) -> None:
        self._writer.close()


def train(
    args: TrainArgs,
    model: keras.Model,
    arrays: ImageArrays,
    record: TrainingRecord,
) -> None:
    """Adam, its rate halved on plateaus, with early stopping; leaves `model` with the weights of
    the lowest val_loss.

    Every epoch with a better val_loss goes to `checkpoints/`. Raises TrainingError when the loss
    is not finite.
    """
    config = args.train
    (training, originals), validation = (
        training_split(arrays, args.plan, "keras"),
        open_split(arrays, "val"),
    )
    index = read_index(args.plan, len(training))
    weights = tf.constant(read_class_weights(args.plan, len(arrays.labels)))
    augment = keras_augment.augmenter(read_policy(args.plan, "keras"), arrays.spec, config.seed)
    crop = keras_augment.augmenter((), arrays.spec, config.seed)
    steps = -(-len(index) // config.batch_size)
    model.compile(optimizer=keras.optimizers.Adam(config.learning_rate))
    schedule = keras.callbacks.CallbackList(
        [
            keras.callbacks.ReduceLROnPlateau(
                factor=0.5, patience=config.plateau, min_lr=config.min_learning_rate
            ),
            keras.callbacks.EarlyStopping(patience=config.early_stopping),
        ],
        model=model,
    )
    train_step, evaluate_step = compiled_steps(model, augment, crop, weights, arrays.spec)
    checkpoint = args.run_dir / "checkpoints" / CHECKPOINT

    model.stop_training = False
    schedule.on_train_begin()
    for epoch in range(1, config.epochs + 1):
        record.start_epoch(epoch, steps)
        rows = shuffled_batches(index, config.batch_size, config.seed, epoch)
        rate = float(model.optimizer.learning_rate)
        for batch in rows:
            images, labels = gather(training.packed, training.labels, batch)
            loss, accuracy = train_step(images, labels, tf.constant(batch >= originals))
            record.step(len(labels), float(loss), float(accuracy), rate)
        val_loss, val_accuracy = evaluate(evaluate_step, validation)
        if record.end_epoch(val_loss, val_accuracy, rate, keras_model.not_finite(model)):
            keras_model.save_weights(model, checkpoint)
        schedule.on_epoch_end(epoch - 1, {"val_loss": val_loss})
        if model.stop_training:
            break
    model.load_weights(checkpoint)


def compiled_steps(
    model: keras.Model, augment: keras.Model, crop: keras.Model, weights: tf.Tensor, spec: ImageSpec
) -> tuple[Callable, Callable]:
    """Two graphs: one training step giving (mean loss, accuracy), for packed images uint8
    (N, H, W, C), and one evaluation step giving (summed loss, correct answers), for images of the
    network's size; both with labels int64 (N,). `weights` are those of the classes. Training also
    takes bool (N,): images that are augmented already, which `crop` brings to the size alone."""

    def signature(shape: tuple[int, ...]) -> list[tf.TensorSpec]:
        return [tf.TensorSpec((None, *shape), tf.uint8), tf.TensorSpec((None,), tf.int64)]

    @tf.function(input_signature=[*signature(spec.packed_shape), tf.TensorSpec((None,), tf.bool)])
    def train_step(images, labels, copied):
        augmented = augment(images, training=True)
        augmented = tf.cond(
            tf.reduce_any(copied),
            lambda: tf.where(copied[:, None, None, None], crop(images, training=True), augmented),
            lambda: augmented,
        )
        with tf.GradientTape() as tape:
            logits = model(augmented, training=True)
            loss = weighted_loss(logits, labels, weights)
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        correct = tf.argmax(logits, 1) == labels
        return loss, tf.reduce_mean(tf.cast(correct, tf.float32))

    @tf.function(input_signature=signature(spec.shape))
    def evaluate_step(images, labels):
        logits = model(tf.cast(images, tf.float32), training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        correct = tf.argmax(logits, 1) == labels
        return tf.reduce_sum(loss), tf.reduce_sum(tf.cast(correct, tf.float32))

    return train_step, evaluate_step


def weighted_loss(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mean over the batch of weight x cross-entropy; `weights` are those of the classes."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(tf.gather(weights, labels) * losses)


def gather(
    read: Callable[[np.ndarray], np.ndarray], labels: np.ndarray, rows: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor]:
    """Images uint8 (N, H, W, C) and labels int64 (N,), of the rows that `read` (`packed` or
    `images` of a Split) gathers."""
    return tf.constant(read(rows)), tf.constant(labels[rows])


def evaluate(evaluate_step: Callable, split: Split) -> tuple[float, float]:
    """Mean loss and accuracy over a split, without augmentation."""
    loss = correct = 0.0
    rows = np.split(np.arange(len(split)), range(EVALUATION_BATCH, len(split), EVALUATION_BATCH))
    for batch in rows:
        images, labels = gather(split.images, split.labels, batch)
        batch_loss, batch_correct = evaluate_step(images, labels)
        loss += float(batch_loss)
        correct += float(batch_correct)
    return loss / len(split), correct / len(split)


if __name__ == "__main__":
    run("components.train_keras", TrainArgs, main)
