"""The record of one training: history.json, result.json, TensorBoard, and what a person sees."""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Protocol, Self

from rich.console import Console

from components.base import atomic
from components.base.console import console, progress
from components.training.config import TrainConfig
from components.training.stages import FINETUNE

LINE_INTERVAL = 2.0  # seconds between epoch lines, so that short epochs do not flood the screen


class TrainingError(ValueError):
    """Training cannot go on; nothing is saved as a model; exit code 1."""


class Scalars(Protocol):
    """TensorBoard's side of a record, see `scalars.py`."""

    def add_scalar(self, tag: str, value: float, step: int) -> None: ...

    def close(self) -> None: ...


class TrainingRecord:
    """Follows one training: a context manager around the epochs, in which `start_epoch`, `step`
    for every batch and `end_epoch` are called in turn, and `finish` at the end.

    Epochs count from 1, on through all stages of a training. Images per second leave out
    validation and the process's first step, which traces the graph, chooses kernels and fills
    caches. Without a `writer` nothing is written or shown: of several processes that train
    together, one keeps the record.
    """

    def __init__(
        self,
        framework: str,
        device: str,
        parameters: int,
        config: TrainConfig,
        run_dir: Path,
        writer: Scalars | None,
    ):
        self.history: list[dict] = []
        self.best: dict | None = None
        self._framework, self._device, self._parameters = framework, device, parameters
        self._config, self._run_dir, self._writer = config, run_dir, writer
        self._console = console() if writer is not None else Console(quiet=True)
        self._bar = progress(self._console)
        self._task = self._bar.add_task(framework, total=None, status="")
        self._line, self._line_at = "", -math.inf
        self._run, self._epoch = _Tally(), _Tally()
        self._stage, self._before, self._epochs = "", 0, config.epochs
        self._earlier, self._traced = 0.0, False
        self._began = self._step_at = time.perf_counter()

    def __enter__(self) -> Self:
        self.say(f"{self._framework} on {self._device}, {self._parameters:,} parameters")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def state(self) -> dict:
        """What a checkpoint keeps of the record, as JSON values."""
        return {
            "history": self.history,
            "best": self.best,
            "run": vars(self._run),
            "epoch": vars(self._epoch),
            "seconds": self._seconds(),
        }

    def restore(self, state: dict) -> None:
        """Goes on from the `state` of a process that ended, maybe in another directory."""
        self.history, self.best, self._earlier = state["history"], state["best"], state["seconds"]
        self._run, self._epoch = _Tally(**state["run"]), _Tally(**state["epoch"])
        for row in self.history:
            self._plot(row)

    def start_stage(self, name: str, epochs: int) -> None:
        """Starts a stage of so many epochs, which the caller counts from 1 again. Its steps are
        unlike those of the stage before, and so is their speed."""
        self._stage, self._before, self._epochs = name, len(self.history), epochs
        self._run, self._traced = _Tally(), False

    def start_epoch(self, epoch: int, steps: int, done: int = 0) -> None:
        """Starts the clock for an epoch of `steps` batches; a resumed one has `done` some."""
        if not done:
            self._epoch = _Tally()
        self._number = self._before + epoch
        name = f"{self._framework}  epoch {self._number}/{self._before + self._epochs}"
        # Over all epochs, so that the time left is the training's.
        done, total = (epoch - 1) * steps + done, self._epochs * steps
        self._bar.update(
            self._task, completed=done, total=total, description=name, status="", visible=True
        )
        self._step_at = time.perf_counter()

    def step(self, images: int, loss: float, accuracy: float, learning_rate: float) -> None:
        """Counts a batch that has just ended, with its mean loss and accuracy.

        Raises TrainingError when the loss is not finite.
        """
        now = time.perf_counter()
        self._check_finite(loss, f"the loss at step {self._epoch.steps + 1}")
        first, self._traced = not self._traced, True
        for tally in (self._run, self._epoch):
            tally.add(images, loss, accuracy, now - self._step_at, timed=not first)
        status = (
            f"{self._epoch.speed:,.0f} img/s  loss {self._epoch.loss:.3f}  "
            f"accuracy {self._epoch.accuracy:.3f}  lr {learning_rate:.1e}"
        )
        self._bar.update(self._task, advance=1, status=status)
        self._step_at = time.perf_counter()

    def end_epoch(
        self, val_loss: float, val_accuracy: float, learning_rate: float, not_finite: list[str]
    ) -> bool:
        """Writes the epoch's row everywhere; True when its val_loss is the lowest so far.

        `not_finite` names the weights that are NaN or infinite: a ReLU can turn NaN to zero, so
        that a dead network still has a finite loss. Raises TrainingError when there are any, or
        when `val_loss` is not finite.
        """
        self._check_finite(val_loss, "val_loss")
        for name in not_finite:
            self._check_finite(math.nan, f"the weight {name} at the end")
        row = {
            "epoch": self._number,
            "stage": self._stage,
            "loss": self._epoch.loss,
            "accuracy": self._epoch.accuracy,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "learning_rate": learning_rate,
            "seconds": self._epoch.seconds,
            "images_per_second": self._epoch.speed,
        }
        self.history.append(row)
        if self._writer is not None:
            self._write("history.json", self.history)
        self._plot(row)
        self._show(row)
        improved = self.best is None or val_loss < self.best["val_loss"]
        if improved:
            self.best = row
        return improved

    def finish(self) -> dict:
        """Writes result.json and returns it."""
        assert self.best is not None, "an epoch has ended"
        result = {
            "framework": self._framework,
            "device": self._device,
            "epochs": len(self.history),
            "best_epoch": self.best["epoch"],
            "finetuned": self.best.get("stage") == FINETUNE,
            "val_accuracy": self.best["val_accuracy"],
            "val_loss": self.best["val_loss"],
            "train_seconds": self._seconds(),
            "images_per_second": self._run.speed,
            "parameters": self._parameters,
        }
        if self._writer is not None:
            self._write("history.json", self.history)
            self._write("result.json", result)
        if self._line:
            self.say(self._line)
        self.say(
            f"{self._framework}  {result['epochs']} epochs in {result['train_seconds']:.1f} s at "
            f"{result['images_per_second']:,.0f} img/s; best is epoch {result['best_epoch']} with "
            f"val_accuracy {result['val_accuracy']:.3f}"
        )
        return result

    def _plot(self, row: dict) -> None:
        if self._writer is not None:
            for key in row.keys() - {"epoch", "stage"}:
                self._writer.add_scalar(key, row[key], row["epoch"])

    def _write(self, name: str, values: list | dict) -> None:
        atomic.write(self._run_dir / name, json.dumps(values, indent=1) + "\n")

    def _seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._began

    def _check_finite(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"{what} of epoch {self._number} is {loss}, expected a finite number: training "
                f"diverged; lower train.learning_rate (now {self._config.learning_rate:g}) or "
                "look at the data."
            )

    def _show(self, row: dict) -> None:
        self._line = (
            f"{self._framework}  epoch {row['epoch']}/{self._before + self._epochs}  "
            f"loss {row['loss']:.3f}  accuracy {row['accuracy']:.3f}  "
            f"val_accuracy {row['val_accuracy']:.3f}  lr {row['learning_rate']:.1e}  "
            f"{row['images_per_second']:,.0f} img/s"
        )
        seconds = self._seconds()
        # A first epoch that is short is mostly tracing, and says little of the others.
        if row["epoch"] > 1 or seconds > 60:
            left = time_left(seconds, row["epoch"], self._before + self._epochs)
            self._line += f"  {left}".rstrip()
        if time.monotonic() - self._line_at >= LINE_INTERVAL:
            self.say(self._line)
            self._line, self._line_at = "", time.monotonic()

    def say(self, text: str) -> None:
        """Prints a line above the progress bar."""
        self._bar.console.print(f"  {text}", markup=False, highlight=False)


def time_left(seconds: float, done: int, epochs: int) -> str:
    """`about 4 min left` after `done` of `epochs` epochs in `seconds`; nothing of less than half a
    minute. Early stopping may end sooner."""
    left = seconds / done * (epochs - done)
    if left < 30:
        return ""
    if left < 90:
        return f"about {10 * round(left / 10)} s left"
    minutes = round(left / 60)
    if minutes < 90:
        return f"about {minutes} min left"
    return f"about {minutes / 60:.1f} h left"


@dataclasses.dataclass
class _Tally:
    """Sums over steps: images, loss and accuracy weighted by images, seconds."""

    steps: int = 0
    images: int = 0
    timed_images: int = 0
    seconds: float = 0.0
    timed_seconds: float = 0.0
    losses: float = 0.0
    correct: float = 0.0

    def add(self, images: int, loss: float, accuracy: float, seconds: float, timed: bool) -> None:
        self.steps += 1
        self.images += images
        self.losses += loss * images
        self.correct += accuracy * images
        self.seconds += seconds
        if timed:
            self.timed_images += images
            self.timed_seconds += seconds

    @property
    def loss(self) -> float:
        return self.losses / self.images

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def speed(self) -> float:
        """Images per second; of the untimed first step when there was no other."""
        if self.timed_seconds:
            return self.timed_images / self.timed_seconds
        return self.images / self.seconds if self.seconds else 0.0
