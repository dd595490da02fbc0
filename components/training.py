"""What both trainers share, without a framework: arguments, the network, batches and seeds.

The record of a training, on disk and on the screen, is `training_record.py`.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from components import atomic
from components.architectures import architecture_of
from components.arrays import ImageArrays
from components.commands import Arguments
from components.description import check_loss
from components.network import Network
from components.plan import COPIES
from components.training_record import TrainingError
from pipeline.config import TrainConfig

ADAM_EPSILON = 1e-7
"""Added to the root of the second moment by both frameworks' Adam."""
MUON_RMS = 0.2
"""Root mean square of a step's change of a kernel at a learning rate of one: about that of Adam's
steps, so that both take the same rates (Liu et al. 2025, arXiv:2502.16982, section 2.2)."""
ORTHOGONALIZED = 5 * ((3.4445, -4.7750, 2.0315),)
"""For each Newton-Schulz iteration the factors of X, XX'X and XX'XX'X that bring the singular
values of a matrix of norm one near to one (Jordan et al. 2024, kellerjordan.github.io/posts/muon).
"""
SMALLEST_PROBABILITY = 1e-7
"""Probabilities are raised to this before a loss takes their logarithm."""


class TrainArgs(Arguments):
    """Arguments of `train_keras` and `train_torch`."""

    arrays: Path
    """ImageArrays directory; only its splits `train` and `val` are read."""
    plan: Path
    """The augment step's directory, see components/augment.py."""
    architecture: str
    """A name in `components/architectures.py`, or `module:function` of the user's own."""
    train: TrainConfig
    model_dir: Path
    """Where the trained model goes: `network.json` and the weights."""
    run_dir: Path
    """Where the record goes: `history.json`, `result.json`, `tensorboard/`."""
    checkpoints: Path | None = None
    """Where an interrupted training is resumed from (default: `checkpoints/` in `run_dir`)."""
    code: str = ""
    """Fingerprint of the code: a checkpoint of other code is not resumed."""

    @property
    def checkpoint_directory(self) -> Path:
        return self.checkpoints or self.run_dir / "checkpoints"


class PredictArgs(Arguments):
    """Arguments of `keras_predict` and `torch_predict`."""

    model_dir: Path
    arrays: Path
    outputs: dict[str, Path]
    """For each split to predict an npz file: `probabilities` float32 (N, classes) and `labels`
    int64 (N,), in the split's order."""


def network_for(args: TrainArgs, arrays: ImageArrays, framework: str) -> Network:
    """The network to train. Raises ValueError for an unknown architecture, too small images, or a
    loss that does not fit the network's output."""
    architecture = architecture_of(args.architecture, len(arrays.labels))
    check_loss(architecture, args.train.loss)
    return Network(framework, architecture, arrays.spec, tuple(arrays.labels))


def identity(args: TrainArgs, network: Network, arrays: ImageArrays) -> str:
    """A digest of all that a training follows from: its checkpoints belong to nothing else.

    Images are told by the sizes and times of their files.
    """
    digest = hashlib.sha256()
    described = {
        "framework": network.framework,
        "architecture": network.architecture.model_dump(mode="json"),
        "image_spec": network.spec.to_dict(),
        "labels": network.labels,
        "train": args.train.model_dump(mode="json", exclude={"checkpoint_seconds"}),
        "code": args.code,
    }
    digest.update(json.dumps(described, sort_keys=True).encode())
    for name in ("policy.json", "index.npy", "class_weights.npy"):
        digest.update((args.plan / name).read_bytes())
    for folder in (arrays.directory, args.plan / COPIES / network.framework):
        for path in sorted(folder.rglob("*.npy")):
            status = path.stat()
            facts = (str(path.relative_to(folder)), status.st_size, status.st_mtime_ns)
            digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def shuffled(index: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """`index` in an order that depends on `seed` and `epoch` alone: any epoch's order can be had
    without the ones before it."""
    return np.random.default_rng((seed, epoch)).permutation(index)


def step_count(rows: int, config: TrainConfig) -> int:
    """Steps of an epoch. The last batch is as short as it is, unless it holds fewer than two images
    for each device: then it is left out, as batch norm cannot learn from one. Raises ValueError
    when no batch is left."""
    whole, rest = divmod(rows, config.batch_size)
    if not whole and rest < config.devices:
        raise ValueError(
            f"{rows} images to train on with train.devices {config.devices}, expected at least one "
            "for each: use fewer devices."
        )
    return max(1, whole + (rest >= 2 * config.devices))


def step_seed(seed: int, epoch: int, step: int, part: int) -> int:
    """Of what a step draws at random on one device: a training can be resumed at any step."""
    sequence = np.random.SeedSequence((seed, epoch, step, part))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def averaging_at(share: float, updates: int) -> float:
    """The share of the average that update number `updates` keeps: less at first, so that the
    weights drawn at the start are soon forgotten (TensorFlow's ExponentialMovingAverage with
    `num_updates`)."""
    return min(share, (1 + updates) / (10 + updates))


def too_large(config: TrainConfig) -> TrainingError:
    """What to do when the device's memory does not hold a batch."""
    size = config.batch_size
    smaller = max(1, 2 ** ((size - 1).bit_length() - 1))
    advice = f"try train.batch_size={smaller}" if smaller < size else "use a smaller network"
    return TrainingError(
        f"the device ran out of memory with train.batch_size {size}, expected room for a step: "
        f"{advice}."
    )


def cpu_has_bfloat16() -> bool:
    """Whether this machine's processor multiplies bfloat16 in units of its own."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("amx_bf16", "avx512_bf16", "bf16mm"))


def thread_count(threads: int) -> int:
    """`threads`, or as many as there are cores for this process when it is 0."""
    return threads or len(os.sched_getaffinity(0))


def save_predictions(path: Path, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Writes the npz of one of `PredictArgs.outputs`, whole or not at all."""
    with atomic.replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            probabilities=probabilities.astype(np.float32),
            labels=labels.astype(np.int64),
        )
