"""What both trainers share, without a framework: arguments, the plan, batches, exit codes.

The record of a training, on disk and on the screen, is `training_record.py`.
"""

import hashlib
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from components import atomic
from components.architectures import architecture_of
from components.arrays import ImageArrays, Split
from components.console import console
from components.network import Network
from components.policy import Policy
from components.process import leave_error
from components.training_record import TrainingError
from pipeline.config import TrainConfig

COPIES = "copies"
"""Folder of a plan with each framework's augmented copies, see components/augment.py."""


class UsageError(ValueError):
    """The command line or its JSON file is wrong; exit code 2."""


class Arguments(BaseModel):
    """The fields of a command's ARGS.json, one subclass per command."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


def command(module: str, arguments: type[Arguments], function: Callable, argv: list[str]) -> int:
    """Runs `function(arguments from the JSON file in argv)` and returns the process's exit code.

    0 on success, 2 for a wrong command line, 1 for everything else. A person gets one sentence on
    the console; the stack of an unexpected error goes to standard error, which a run logs.
    """
    # Each shard of the arrays holds a file descriptor: thousands of them are no mistake here.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        if len(argv) != 1:
            raise UsageError(f"usage: python -m {module} ARGS.json ({len(argv)} arguments given).")
        function(_read(arguments, Path(argv[0])))
    except UsageError as error:
        _complain(module, str(error), argv)
        return 2
    except ValueError as error:
        _complain(module, str(error), argv)
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort of a process
        traceback.print_exc()
        _complain(module, f"{type(error).__name__}: {error}", argv)
        return 1
    return 0


def _read(kind: type[Arguments], path: Path) -> Arguments:
    try:
        return kind.model_validate_json(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: {key}: {first['msg']} (got {first['input']!r}).") from error


def _complain(module: str, message: str, argv: list[str]) -> None:
    name, sentence = module.rpartition(".")[2], " ".join(message.split())
    if len(argv) == 1 and Path(argv[0]).is_file():
        leave_error(argv[0], name, sentence)
    else:
        console().print(f"{name}: {sentence}", markup=False, highlight=False)


def read_policy(plan: Path, framework: str) -> Policy:
    """The framework's list of operations in `policy.json`. Raises ValueError if it is not one."""
    path = plan / "policy.json"
    try:
        return TypeAdapter(Policy).validate_python(json.loads(path.read_text())[framework])
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; run the augment step.") from error
    except (KeyError, json.JSONDecodeError, ValidationError) as error:
        raise ValueError(f"{path} holds no valid policy for {framework}: {error!r}.") from error


def training_split(arrays: ImageArrays, plan: Path, framework: str) -> tuple[Split, int]:
    """The training split with the framework's augmented copies behind it, if there are any, and how
    many rows are not copies; `index.npy` counts through both. Raises ValueError when empty."""
    originals = len(open_split(arrays, "train"))
    return arrays.split("train", plan / COPIES / framework), originals


def read_class_weights(plan: Path, classes: int) -> np.ndarray:
    """float32 (classes,): the factors of the training loss, from `class_weights.npy`.

    A batch's loss is the mean over its images of weight x cross-entropy, not divided by the sum of
    the weights. Raises ValueError when they are missing or do not fit.
    """
    path = plan / "class_weights.npy"
    try:
        weights = np.load(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error}; run the augment step.") from error
    if weights.shape != (classes,) or not (weights > 0).all():
        raise ValueError(
            f"{path} has shape {weights.shape}, expected a positive weight for each of {classes} "
            "classes: it belongs to other arrays; run the augment step again."
        )
    return weights.astype(np.float32)


def read_index(plan: Path, rows: int) -> np.ndarray:
    """int64 (N,): the rows of `training_split` (`rows` long) to train on, from `index.npy`.

    A row may occur several times. Raises ValueError when it is missing or does not fit the split.
    """
    path = plan / "index.npy"
    try:
        index = np.load(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error}; run the augment step.") from error
    if index.ndim != 1 or not len(index) or index.min() < 0 or index.max() >= rows:
        raise ValueError(
            f"{path} has shape {index.shape}, expected at least one row number from 0 to {rows - 1}"
            ": it belongs to other arrays; run the augment step again."
        )
    return index.astype(np.int64)


def open_split(arrays: ImageArrays, name: str) -> Split:
    """A split of the arrays. Raises ValueError when it holds no images."""
    split = arrays.split(name)
    if not len(split):
        raise ValueError(f"{arrays.directory / name} holds no images, expected at least one.")
    return split


def network_for(args: TrainArgs, arrays: ImageArrays, framework: str) -> Network:
    """The network to train. Raises ValueError for an unknown architecture or too small images."""
    architecture = architecture_of(args.architecture, len(arrays.labels))
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
    """Steps of an epoch. The last batch is as short as it is, unless it holds fewer images than
    there are devices: then it is left out. Raises ValueError when no batch is left."""
    whole, rest = divmod(rows, config.batch_size)
    if not whole and rest < config.devices:
        raise ValueError(
            f"{rows} images to train on with train.devices {config.devices}, expected at least one "
            "for each: use fewer devices."
        )
    return whole + (rest >= config.devices)


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


def run(name: str, arguments: type[Arguments], function: Callable) -> None:
    """Ends the process with `command`'s exit code."""
    sys.exit(command(name, arguments, function, sys.argv[1:]))
