"""Trains PyTorch's network by itself: `python -m components.training.train_torch ARGS.json`.

Twin of `train_keras.py`: the same functions in the same order. Imports no TensorFlow.
"""

import collections
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from components.augmentation.plan import read_class_weights
from components.base.commands import run
from components.data.arrays import ImageArrays, Split
from components.features.feature_arrays import FeatureSplit
from components.networks import torch_model
from components.networks.network import Network
from components.training.arguments import TrainArgs, checkpoints_of, network_for
from components.training.checkpoint import Checkpoints
from components.training.config import TrainConfig
from components.training.hardware import cpu_has_bfloat16, thread_count, too_large
from components.training.progress import Progress
from components.training.recipe import shuffled, step_count, step_seed
from components.training.scalars import ScalarWriter
from components.training.schedule import Schedule
from components.training.stages import FINETUNE, HEAD, Stage, settled, stages
from components.training.torch_learner import Learner
from components.training.torch_parallel import SINGLE, Replica, launch
from components.training.training_record import TrainingRecord

EVALUATED_AT_A_TIME = 500

RESIDENT_SHARE = 0.6
"""Images live on the GPU where they take at most this share of its free memory."""


def main(args: TrainArgs) -> None:
    """Trains, then writes the model directory and the run directory of `args`."""
    launch(args.train.devices, replica_main, args)


def replica_main(args: TrainArgs, replica: Replica) -> None:
    """The training, or this process's share of it."""
    arrays = ImageArrays(args.arrays)
    network = network_for(args, arrays, "torch")
    device, precision, description = choose_device(settled(args), replica)
    torch.manual_seed(args.train.seed)
    model = torch_model.build(network)
    if network.architecture.backbone is not None:
        torch_model.load_backbone(model, network)
    model = model.to(device, memory_format=torch.channels_last)
    record = TrainingRecord(
        "torch",
        description,
        torch_model.parameter_count(model),
        args.train,
        args.run_dir,
        ScalarWriter(args.run_dir / "tensorboard") if replica.first else None,
    )
    weights = read_class_weights(args.plan, len(arrays.labels))
    with record:
        try:
            for stage in stages(args, arrays, "torch"):
                record.start_stage(stage.name, stage.config.epochs)
                checkpoints = checkpoints_of(args, network, arrays, stage.name)
                train(stage, model, network, weights, precision, record, checkpoints, replica)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise too_large(args.train) from error
            raise
        if replica.first:
            torch_model.save(model, network, args.model_dir)
            record.finish()


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch or NumPy found no memory; PyTorch has a class for GPUs alone."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "can't allocate memory" in str(error) or "could not create a memory" in str(error)


def choose_device(
    config: TrainConfig, replica: Replica = SINGLE
) -> tuple[torch.device, torch.dtype, str]:
    """CUDA, then MPS, then CPU with `threads` threads (0 for all cores); what to compute in; and
    both in words. Raises ValueError when there are fewer GPUs than `devices`.

    On a CPU denormal numbers become zero from then on, as TensorFlow has them: they take a hundred
    times as long, and what momentum is left where a ReLU has died ends in them. `smiles_v3` slowed
    down to a fifth.
    """
    if torch.cuda.is_available():
        gpus = torch.cuda.device_count()
        if replica.world_size > gpus:
            raise ValueError(
                f"train.devices is {replica.world_size}, expected at most {gpus}, the GPUs."
            )
        device = torch.device("cuda", replica.rank)
        torch.cuda.set_device(device)
        has_units = torch.cuda.is_bf16_supported(including_emulation=False)
        name = f"cuda ({torch.cuda.get_device_name()})"
    elif torch.backends.mps.is_available():
        device, has_units, name = torch.device("mps"), False, "mps"
    else:
        torch.set_flush_denormal(True)  # before there are other threads, which take it over
        torch.set_num_threads(max(1, thread_count(config.threads) // replica.world_size))
        device, has_units = torch.device("cpu"), cpu_has_bfloat16()
        name = f"cpu, {torch.get_num_threads()} threads"
    if replica.world_size > 1:
        name = f"{replica.world_size} x {name}"
    if config.precision == "float32":
        return device, torch.float32, f"{name}, float32"
    if config.precision == "auto" and not has_units:
        return device, torch.float32, f"{name}, float32 (no units for bfloat16)"
    return device, torch.bfloat16, f"{name}, bfloat16"


def train(
    stage: Stage,
    model: nn.Module,
    network: Network,
    weights: np.ndarray,
    precision: torch.dtype,
    record: TrainingRecord,
    checkpoints: Checkpoints,
    replica: Replica = SINGLE,
) -> None:
    """Leaves `model` with the weights of the stage's lowest val_loss, or as it was where none is
    lower than those of the stages before.

    Goes on from the last checkpoint, if there is one. Raises TrainingError when a loss is not
    finite.
    """
    config, training, originals = stage.config, stage.training, stage.originals
    validation, index = stage.validation, stage.index
    learning, still = model, []
    if stage.name == HEAD:
        learning = torch_model.head_of(model, network)
    elif stage.name == FINETUNE:
        still = torch_model.freeze(model, network, config.finetune_layers)
    learner = Learner(
        learning, network.architecture, stage.spec, stage.policy, weights, config, precision,
        replica.wrap(learning), replica.world_size, still,
    )  # fmt: skip
    steps = step_count(len(index), config)
    schedule = Schedule(config, steps * config.epochs)
    progress = Progress(
        learner, record, schedule, checkpoints, steps, config.checkpoint_seconds, replica.first
    )
    progress.best = learner.judged()
    # One after the other, because the first removes damaged checkpoints.
    if not replica.first:
        replica.wait()
    progress.resume()
    if replica.first:
        replica.wait()
    read = reader(training.packed, training, learner.device)
    read_val = reader(validation.images, validation, learner.device)

    while progress.epoch <= config.epochs and not progress.stopped:
        record.start_epoch(progress.epoch, steps, progress.step)
        order = shuffled(index, config.seed, progress.epoch)
        readings = Readings(record, learner.device)
        for step in range(progress.step, steps):
            batch = order[step * config.batch_size :][: config.batch_size]
            torch.manual_seed(step_seed(config.seed, progress.epoch, step, replica.rank))
            rows, rate = replica.shard(batch), schedule.rate(progress.total)
            copied = torch.from_numpy(rows >= originals) if originals < len(training) else None
            scale = schedule.scale(progress.total)
            reading = learner.step(*read(rows), copied, rate, len(batch), scale)
            readings.add(replica.mean(reading), len(batch), rate)
            progress.step_done(readings.drain)
        readings.drain()
        # Batch norm's statistics are each shard's.
        replica.broadcast(learner.judged_state().values())
        rows = replica.shard(np.arange(len(validation)))
        batches = evaluation_batches(read_val, rows, validation.at_a_time(EVALUATED_AT_A_TIME))
        totals = replica.sum(learner.evaluate(batches))
        val_loss, val_accuracy = (totals / len(validation)).tolist()
        rate = schedule.rate(progress.total - 1)
        if record.end_epoch(val_loss, val_accuracy, rate, learner.not_finite()):
            progress.best = learner.judged()
        progress.epoch_done(val_loss)
    learner.load(progress.best)


def reader(
    gather: Callable[[np.ndarray], np.ndarray], split: Split | FeatureSplit, device: torch.device
) -> Callable[[np.ndarray], tuple[torch.Tensor, torch.Tensor]]:
    """A function from row numbers to images uint8 (N, C, H, W), in channels-last memory order, or
    features float32 (N, F), and labels int64 (N,), on the device; `gather` is `packed` or `images`
    of the split.

    On a GPU that has room for all of them they are copied there once.
    """
    labels = torch.from_numpy(split.labels)
    if device.type == "cuda":
        one = gather(np.arange(1))
        size = one.nbytes * len(split)
        if size <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            kind = torch.from_numpy(one).dtype
            images = torch.empty((len(split), *one.shape[1:]), dtype=kind, device=device)
            for rows in np.array_split(np.arange(len(split)), 1 + size // 2**28):
                images[rows[0] : rows[-1] + 1] = torch.from_numpy(gather(rows)).to(device)
            there = labels.to(device)

            def from_device(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
                # Pinned, so that the copy does not wait for what the GPU is at.
                rows = torch.from_numpy(rows).pin_memory().to(device, non_blocking=True)
                return _channels_first(images[rows]), there[rows]

            return from_device

    def from_memory(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        images = _channels_first(torch.from_numpy(gather(rows)).to(device))
        return images, labels[torch.from_numpy(rows)].to(device)

    return from_memory


def _channels_first(images: torch.Tensor) -> torch.Tensor:
    """(N, H, W, C) as (N, C, H, W), without a copy; features as they are."""
    return images.permute(0, 3, 1, 2) if images.ndim == 4 else images


def evaluation_batches(
    read: Callable, rows: np.ndarray, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """`read`, `size` rows at a time."""
    for start in range(0, len(rows), size):
        yield read(rows[start : start + size])


class Readings:
    """Losses and accuracies on their way from the device to the record.

    From a CPU they are there at once. A GPU is never waited for inside an epoch: a step is recorded
    when its numbers have arrived, some steps later.
    """

    def __init__(self, record: TrainingRecord, device: torch.device):
        self._record, self._device = record, device
        self._under_way: collections.deque = collections.deque()

    def add(self, reading: torch.Tensor, images: int, rate: float) -> None:
        """Takes a step's float32 (2,), loss and accuracy."""
        if self._device.type != "cuda":
            loss, accuracy = reading.tolist()
            self._record.step(images, loss, accuracy, rate)
            return
        arrived = torch.empty_like(reading, device="cpu", pin_memory=True)
        arrived.copy_(reading, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._under_way.append((event, arrived, images, rate))
        while self._under_way and self._under_way[0][0].query():
            self._take()

    def drain(self) -> None:
        """Waits for what is under way."""
        while self._under_way:
            self._under_way[0][0].synchronize()
            self._take()

    def _take(self) -> None:
        _, arrived, images, rate = self._under_way.popleft()
        loss, accuracy = arrived.tolist()
        self._record.step(images, loss, accuracy, rate)


if __name__ == "__main__":
    run("components.training.train_torch", TrainArgs, main)
