"""Trainings in processes of their own, the line's and the tutorials', and what they measured."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.prepared import with_mirrored, write_plan
from components.base import atomic
from components.base.commands import Arguments
from components.base.frameworks import IMPORTED
from components.base.process import ROOT, StepFailed, run_module
from components.evaluation.predictions import PredictArgs
from components.training.arguments import TrainArgs
from pipeline.configuration.config import RunConfig
from pipeline.line import step_modules
from pipeline.outcome.terminal import Terminal


@dataclasses.dataclass(frozen=True)
class Trained:
    """`result` is result.json of a training, `history` its epochs, `model` the model directory."""

    result: dict
    history: list[dict]
    model: Path


def train(
    framework: str, config: RunConfig, arrays: Path, directory: Path, resume: bool = False
) -> Trained:
    """Trains by the recipe of `config` on `arrays`; with `resume` goes on from the checkpoint that
    the same training left in `directory` when it was interrupted, and does nothing where it had
    ended; otherwise the directory is emptied first.

    Raises StepFailed with the trainer's sentence.
    """
    shutil.rmtree(directory / "plan" if resume else directory, ignore_errors=True)
    write_plan(arrays, config, directory / "plan")
    arguments = TrainArgs(
        arrays=arrays,
        plan=directory / "plan",
        architecture=config.model.architecture,
        train=config.train,
        model_dir=directory / "model",
        run_dir=directory / "run",
        checkpoints=directory / "checkpoints",
        code=step_modules.code(f"train_{framework}", config.model.architecture),
    )
    asked = arguments.model_dump(mode="json")
    ended = directory / "arguments.json"
    if not ended.is_file() or json.loads(ended.read_text()) != asked:
        ended.unlink(missing_ok=True)
        _run(f"components.training.train_{framework}", arguments, directory, framework)
        shutil.rmtree(directory / "checkpoints", ignore_errors=True)
        atomic.write(ended, json.dumps(asked))
    return Trained(
        json.loads((directory / "run/result.json").read_text()),
        json.loads((directory / "run/history.json").read_text()),
        directory / "model",
    )


def speed(trained: Trained, images: int) -> float:
    """Images per second of a training on `images` per epoch: of the trainer's own count and of
    the epochs' seconds after the first epoch (where there are more), the lower one."""
    later = [row["seconds"] for row in trained.history[1:]]
    found = trained.result["images_per_second"]
    return min(found, images * len(later) / sum(later)) if later else found


def _run(module: str, arguments: Arguments, directory: Path, framework: str) -> None:
    """The libraries' chatter goes to `log.txt` in `directory`."""
    with Terminal(directory / "log.txt"):
        imports = IMPORTED[framework]
        run_module(module, arguments, directory, seconds=None, imports=imports)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """On the test split; `mirrored` averages the probabilities of each image and of its mirror
    image, which takes `mirrored_seconds` more."""

    accuracy: float
    mirrored: float | None = None
    mirrored_seconds: float | None = None


def evaluate(framework: str, trained: Trained, arrays: Path, mirrored: bool) -> Evaluated:
    """Test accuracy by the line's own prediction, in float32."""
    folder = trained.model.parent
    outputs = {"test": folder / "test.npz"}
    if mirrored:
        arrays, outputs = with_mirrored(arrays), outputs | {"mirrored": folder / "mirrored.npz"}
    arguments = PredictArgs(model_dir=trained.model, arrays=arrays, outputs=outputs)
    _run(f"components.evaluation.{framework}_predict", arguments, folder, framework)
    found = {name: np.load(path) for name, path in outputs.items()}
    probabilities, labels = found["test"]["probabilities"], found["test"]["labels"]
    accuracy = share_correct(probabilities, labels)
    if not mirrored:
        return Evaluated(accuracy)
    both = share_correct(probabilities + found["mirrored"]["probabilities"], labels)
    # Splits are predicted one after the other, each file written when it is through.
    seconds = outputs["mirrored"].stat().st_mtime - outputs["test"].stat().st_mtime
    return Evaluated(accuracy, both, seconds)


def share_correct(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Of scores (N, classes) and labels int64 (N,)."""
    return float((probabilities.argmax(1) == labels).mean())


def tutorial(framework: str, network: str, arrays: Path, images: int, threads: int) -> dict:
    """The last line that `benchmarks.tutorial_<framework>` prints, see benchmarks/tutorial.py.

    Raises StepFailed with what it left on standard error.
    """
    options = ["--arrays", str(arrays), "--images", str(images), "--network", network]
    return loop(f"benchmarks.tutorial_{framework}", [*options, "--threads", str(threads)])


def loop(module: str, options: list[str]) -> dict:
    """The last line that a tutorial's loop prints, a process of its own. Raises StepFailed as
    `tutorial` does."""
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(
        command,
        cwd=ROOT,
        # The line's trainers run with the same: it helps both where cores are shared.
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepFailed(f"{' '.join(command[1:])} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])
