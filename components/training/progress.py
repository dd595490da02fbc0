"""How far a training has come, in its checkpoints: when one is written, and where one goes on."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from components.training.checkpoint import Checkpoints
from components.training.schedule import Schedule
from components.training.training_record import TrainingRecord

_BEST = "best/"


class Learner(Protocol):
    """What a framework's learner gives and takes."""

    def arrays(self) -> dict[str, np.ndarray]: ...

    def restore(self, arrays: dict[str, np.ndarray], steps: int) -> None: ...

    def not_finite(self) -> list[str]: ...


class Progress:
    """The place in a training of `epochs` epochs of `steps` steps: `epoch` counts from 1, `step`
    is the number of the epoch's steps that are done, `best` the weights to keep so far.

    Only the process that `saves` writes checkpoints.
    """

    def __init__(
        self,
        learner: Learner,
        record: TrainingRecord,
        schedule: Schedule,
        checkpoints: Checkpoints,
        steps: int,
        seconds: float,
        saves: bool = True,
    ):
        self.epoch, self.step, self.stopped = 1, 0, False
        self.best: dict[str, np.ndarray] = {}
        self._learner, self._record, self._schedule = learner, record, schedule
        self._checkpoints, self._steps = checkpoints, steps
        self._seconds, self._saves = seconds, saves
        self._saved_at = time.monotonic()

    @property
    def total(self) -> int:
        """Steps done since the beginning."""
        return (self.epoch - 1) * self._steps + self.step

    def resume(self) -> None:
        """Goes to the last checkpoint, if there is one, and says so."""
        found = self._checkpoints.latest()
        instead = "the one before it is used" if found else "training starts anew"
        for path in self._checkpoints.damaged:
            self._record.say(f"checkpoint {path.name} is damaged; {instead}")
        if found is None:
            return
        self.epoch, self.step = found.state["epoch"], found.state["step"]
        self.stopped = found.state["stopped"]
        own = {n: a for n, a in found.arrays.items() if not n.startswith(_BEST)}
        self.best = {n.removeprefix(_BEST): a for n, a in found.arrays.items() if n not in own}
        self._learner.restore(own, self.total)
        self._schedule.state = found.state["schedule"]
        self._record.restore(found.state["record"])
        done = f"{self.epoch - 1} epochs and {self.step} of {self._steps} steps"
        self._record.say(f"resumed after {done}")

    def step_done(self, settle: Callable[[], None] = lambda: None) -> None:
        """Counts a step; `settle` makes sure that its loss is recorded, before a checkpoint."""
        self.step += 1
        if self._due():
            settle()
            self._save()

    def epoch_done(self, val_loss: float) -> None:
        """Counts an epoch, after its validation."""
        self.stopped = not self._schedule.end_epoch(val_loss)
        self.epoch, self.step = self.epoch + 1, 0
        if self._due():
            self._save()

    def _due(self) -> bool:
        return time.monotonic() - self._saved_at >= self._seconds

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        if not self._saves:
            return
        arrays = self._learner.arrays()
        # The next step will say that training diverged; the checkpoint before stays the last.
        rule = [array for name, array in arrays.items() if name.startswith("optimizer/")]
        if self._learner.not_finite() or not all(np.isfinite(array).all() for array in rule):
            return
        arrays |= {_BEST + name: array for name, array in self.best.items()}
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "stopped": self.stopped,
            "schedule": self._schedule.state,
            "record": self._record.state(),
        }
        # Validations count too: one from before and one from after it are not the same.
        number = self.total + self.epoch - 1
        try:
            self._checkpoints.save(number, arrays, state)
        except OSError as error:  # no reason to give up what was learned
            self._record.say(
                f"no checkpoint could be written to {self._checkpoints.directory} "
                f"({error.strerror or error}): make room there; training goes on, and tries again"
            )
