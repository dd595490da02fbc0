"""Trains Keras's network by itself: `python -m components.training.train_keras ARGS.json`.

Twin of `train_torch.py`: the same functions in the same order.
"""

import keras
import numpy as np
import tensorflow as tf

from components.augmentation.plan import read_class_weights
from components.base.commands import run
from components.data.arrays import ImageArrays
from components.networks import keras_model
from components.networks.network import Network
from components.training.arguments import TrainArgs, checkpoints_of, network_for
from components.training.checkpoint import Checkpoints
from components.training.config import TrainConfig
from components.training.hardware import cpu_has_bfloat16, thread_count, too_large
from components.training.keras_learner import Learner
from components.training.progress import Progress
from components.training.recipe import shuffled, step_count
from components.training.scalars import ScalarWriter
from components.training.schedule import Schedule
from components.training.stages import FINETUNE, HEAD, Stage, settled, stages
from components.training.training_record import TrainingRecord

EVALUATED_AT_A_TIME = 500


def main(args: TrainArgs) -> None:
    """Trains, then writes the model directory and the run directory of `args`."""
    arrays = ImageArrays(args.arrays)
    network = network_for(args, arrays, "keras")
    strategy, description = choose_device(settled(args))
    keras.utils.set_random_seed(args.train.seed)
    with strategy.scope():
        model = keras_model.build(network)
        if network.architecture.backbone is not None:
            keras_model.load_backbone(model, network)
    record = TrainingRecord(
        "keras",
        description,
        keras_model.parameter_count(model),
        args.train,
        args.run_dir,
        ScalarWriter(args.run_dir / "tensorboard"),
    )
    weights = read_class_weights(args.plan, len(arrays.labels))
    with record:
        try:
            for stage in stages(args, arrays, "keras"):
                record.start_stage(stage.name, stage.config.epochs)
                checkpoints = checkpoints_of(args, network, arrays, stage.name)
                with strategy.scope():
                    train(stage, model, network, weights, record, checkpoints)
        except (tf.errors.OpError, MemoryError) as error:
            if is_out_of_memory(error):
                raise too_large(args.train) from error
            raise
        keras_model.save(model, network, args.model_dir)
        record.finish()


def is_out_of_memory(error: Exception) -> bool:
    """Whether TensorFlow or NumPy found no memory; libraries below TensorFlow have no class."""
    if isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError)):
        return True
    return "OOM" in str(error) or "out of memory" in str(error).lower()


def choose_device(config: TrainConfig) -> tuple[tf.distribute.Strategy, str]:
    """CUDA, then CPU with `threads` threads (0 for all cores): the strategy for `devices` of them,
    and both in words, with what is computed in, which becomes Keras's global dtype policy.

    Call it before anything else of TensorFlow. Several devices are so many GPUs, or parts of the
    CPU. Raises ValueError when there are fewer GPUs.
    """
    gpus, count = tf.config.list_physical_devices("GPU"), config.devices
    if gpus:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        details = tf.config.experimental.get_device_details(gpus[0])
        has_units = details.get("compute_capability", (0, 0)) >= (8, 0)
        name = f"cuda ({details.get('device_name', 'GPU')})"
        if count > len(gpus):
            raise ValueError(f"train.devices is {count}, expected at most {len(gpus)}, the GPUs.")
    else:
        threads, has_units = thread_count(config.threads), cpu_has_bfloat16()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        name = f"cpu, {threads} threads"
        if count > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            replicas = [tf.config.LogicalDeviceConfiguration()] * count
            tf.config.set_logical_device_configuration(cpu, replicas)
    strategy = tf.distribute.get_strategy()
    if count > 1:
        kind = "GPU" if gpus else "CPU"
        strategy = tf.distribute.MirroredStrategy([f"{kind}:{n}" for n in range(count)])
        name = f"{count} x {name}"
    reduced = config.precision == "bfloat16" or (config.precision == "auto" and has_units)
    keras.config.set_dtype_policy("mixed_bfloat16" if reduced else "float32")
    if reduced:
        return strategy, f"{name}, bfloat16"
    why = " (no units for bfloat16)" if config.precision == "auto" else ""
    return strategy, f"{name}, float32{why}"


def train(
    stage: Stage,
    model: keras.Model,
    network: Network,
    weights: np.ndarray,
    record: TrainingRecord,
    checkpoints: Checkpoints,
) -> None:
    """Leaves `model` with the weights of the stage's lowest val_loss, or as it was where none is
    lower than those of the stages before.

    Goes on from the last checkpoint, if there is one. Raises TrainingError when a loss is not
    finite.
    """
    config, training, index = stage.config, stage.training, stage.index
    learning = model
    if stage.name == HEAD:
        learning = keras_model.head_of(model, network)
    elif stage.name == FINETUNE:
        keras_model.freeze(model, network, config.finetune_layers)
    learner = Learner(learning, network.architecture, stage.spec, stage.policy, weights, config)
    steps = step_count(len(index), config)
    schedule = Schedule(config, steps * config.epochs)
    progress = Progress(learner, record, schedule, checkpoints, steps, config.checkpoint_seconds)
    progress.best = learner.judged()
    progress.resume()

    while progress.epoch <= config.epochs and not progress.stopped:
        record.start_epoch(progress.epoch, steps, progress.step)
        order = shuffled(index, config.seed, progress.epoch)
        for step in range(progress.step, steps):
            rows = order[step * config.batch_size :][: config.batch_size]
            rate = schedule.rate(progress.total)
            images, labels = training.packed(rows), training.labels[rows]
            scale = schedule.scale(progress.total)
            loss, accuracy = learner.step(images, labels, rows >= stage.originals, rate, scale)
            record.step(len(rows), loss, accuracy, rate)
            progress.step_done()
        totals = learner.evaluate(stage.validation.batches(EVALUATED_AT_A_TIME))
        val_loss, val_accuracy = (totals / len(stage.validation)).tolist()
        rate = schedule.rate(progress.total - 1)
        if record.end_epoch(val_loss, val_accuracy, rate, learner.not_finite()):
            progress.best = learner.judged()
        progress.epoch_done(val_loss)
    learner.load(progress.best)


if __name__ == "__main__":
    run("components.training.train_keras", TrainArgs, main)
