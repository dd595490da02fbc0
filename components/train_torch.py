"""Trains the PyTorch network in a process of its own: `python -m components.train_torch ARGS.json`.

Twin of `train_keras.py`: the same functions in the same order. Imports no TensorFlow.
"""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from components import torch_augment, torch_model
from components.arrays import ImageArrays, Split
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

CHECKPOINT = "best.safetensors"
EVALUATION_BATCH = 500


def main(args: TrainArgs) -> None:
    """Trains, then writes the model directory and the run directory of `args`."""
    arrays = ImageArrays(args.arrays)
    network = network_for(args, arrays, "torch")
    device, description = choose_device(args.train.threads)
    torch.manual_seed(args.train.seed)
    model = torch_model.build(network).to(device, memory_format=torch.channels_last)
    record = TrainingRecord(
        "torch",
        description,
        torch_model.parameter_count(model),
        args.train,
        args.run_dir,
        scalar_writer(args.run_dir / "tensorboard"),
    )
    with record:
        train(args, model, arrays, device, record)
        torch_model.save(model, network, args.model_dir)
        record.finish()


def choose_device(threads: int) -> tuple[torch.device, str]:
    """CUDA, then MPS, then CPU with that many threads (0 for all cores), and its description."""
    if torch.cuda.is_available():
        return torch.device("cuda"), f"cuda ({torch.cuda.get_device_name()})"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "mps"
    torch.set_num_threads(thread_count(threads))
    return torch.device("cpu"), f"cpu, {torch.get_num_threads()} threads"


def scalar_writer(directory: Path) -> ScalarWriter:
    """TensorBoard's writer. Where TensorFlow is installed TensorBoard would import it, for file
    access alone, at the cost of five seconds: this module's name tells it to do without."""
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(directory))


def train(
    args: TrainArgs,
    model: nn.Module,
    arrays: ImageArrays,
    device: torch.device,
    record: TrainingRecord,
) -> None:
    """Adam with a cosine-annealed rate; leaves `model` with the weights of the lowest val_loss.

    Every epoch with a better val_loss goes to `checkpoints/`. Raises TrainingError when the loss
    is not finite.
    """
    config = args.train
    (training, originals), validation = (
        training_split(arrays, args.plan, "torch"),
        open_split(arrays, "val"),
    )
    index = read_index(args.plan, len(training))
    weights = torch.from_numpy(read_class_weights(args.plan, len(arrays.labels))).to(device)
    augment = torch_augment.augmenter(read_policy(args.plan, "torch"), arrays.spec)
    crop = torch_augment.augmenter((), arrays.spec)
    steps = -(-len(index) // config.batch_size)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, config.epochs * steps, config.min_learning_rate
    )
    checkpoint = args.run_dir / "checkpoints" / CHECKPOINT

    for epoch in range(1, config.epochs + 1):
        model.train()
        record.start_epoch(epoch, steps)
        rows = shuffled_batches(index, config.batch_size, config.seed, epoch)
        for batch in rows:
            images, labels = gather(training.packed, training.labels, batch, device)
            augmented = augment(images)
            if originals < len(training):  # copies are augmented already
                copied = torch.from_numpy(batch >= originals).to(device)
                augmented = torch.where(copied[:, None, None, None], crop(images), augmented)
            logits = model(augmented)
            loss = weighted_loss(logits, labels, weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            accuracy = (logits.argmax(1) == labels).float().mean()
            (rate,) = schedule.get_last_lr()
            record.step(len(labels), loss.item(), accuracy.item(), rate)
            schedule.step()
        val_loss, val_accuracy = evaluate(model, validation, device)
        if record.end_epoch(val_loss, val_accuracy, rate, torch_model.not_finite(model)):
            torch_model.save_weights(model, checkpoint)
    torch_model.load_weights(model, checkpoint)


def weighted_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean over the batch of weight x cross-entropy; `weights` are those of the classes.

    (`nn.CrossEntropyLoss(weight=...)` divides by the sum of the weights instead.)
    """
    return (weights[labels] * nn.functional.cross_entropy(logits, labels, reduction="none")).mean()


def gather(
    read: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    rows: np.ndarray,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 (N, C, H, W) in channels-last memory order and labels int64 (N,), of the rows
    that `read` (`packed` or `images` of a Split) gathers."""
    images = torch.from_numpy(read(rows)).to(device).permute(0, 3, 1, 2)
    return images, torch.from_numpy(labels[rows]).to(device)


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, device: torch.device) -> tuple[float, float]:
    """Mean loss and accuracy over a split, without augmentation."""
    model.eval()
    loss = correct = 0.0
    rows = np.split(np.arange(len(split)), range(EVALUATION_BATCH, len(split), EVALUATION_BATCH))
    for batch in rows:
        images, labels = gather(split.images, split.labels, batch, device)
        logits = model(images.float())
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(1) == labels).sum().item()
    return loss / len(split), correct / len(split)


if __name__ == "__main__":
    run("components.train_torch", TrainArgs, main)
