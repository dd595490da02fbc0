"""A search for hyperparameters on prepared arrays: Optuna proposes, the trainers judge.

<directory>/study.db                     what was tried and what came of it (SQLite)
<directory>/trials/<search>-<number>/    a trial's history.json, result.json and tensorboard/

A trial that was interrupted, however hard, stays marked as running; the next search on the same
directory repeats it. Settings that change what a trial's result means make a search of their own
in the same file.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.base.console import CONSOLE_FD
from components.base.frameworks import IMPORTED
from components.base.process import StepFailed, run_module
from components.training.arguments import TrainArgs
from components.training.config import TrainConfig
from pipeline.configuration.config import RunConfig
from pipeline.search.search_space import Space, draw, own_parameters

_HOPELESS = 3
"""So many failed trials without one that succeeded end the search: something else is wrong."""
_NO_MATTER = {"threads", "checkpoint_seconds", "frameworks"}
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished trial. `accuracy` is that of the weights the trainer kept, on the validation
    split; None for a trial that was ended early or failed (`error`)."""

    number: int
    train: TrainConfig
    accuracy: float | None
    loss: float | None
    epochs: int
    seconds: float
    error: str = ""

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts the best first, of those that have an accuracy."""
        assert self.accuracy is not None and self.loss is not None
        return -self.accuracy, self.loss


class Search:
    """`study` in `directory`, of the recipe `config.train` within `space`.

    `arrays` is an ImageArrays directory, `plan` an augment step's, and `features` those of a
    pretrained backbone, where the network has one; `data` tells the images
    from others, and `code` the trainer's code. Only train and val are read.
    """

    def __init__(
        self,
        directory: Path,
        config: RunConfig,
        space: Space,
        arrays: Path,
        plan: Path,
        data: str,
        code: str,
        features: Path | None = None,
    ):
        self.config, self.space, self.directory = config, space, directory
        self._arrays, self._plan, self._features = arrays, plan, features
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directory.mkdir(parents=True, exist_ok=True)
        self.name = _search_name(config, space, data, code)
        self.study = optuna.create_study(
            storage=f"sqlite:///{directory / 'study.db'}",
            study_name=self.name,
            direction="maximize",
            load_if_exists=True,
        )
        self._repeat_interrupted()
        known = len(self.study.trials)
        # A sampler that began with the same seed again would propose the same trials again.
        self.study.sampler = optuna.samplers.TPESampler(seed=config.train.seed + known)
        self.study.pruner = optuna.pruners.MedianPruner(
            n_startup_trials=4, n_warmup_steps=max(2, config.train.epochs // 3)
        )
        if not known:
            self.study.enqueue_trial(own_parameters(space, config.train))

    def outcomes(self) -> list[Outcome]:
        """The finished trials, in their order."""
        return [self._outcome(t) for t in self.study.get_trials(states=_FINISHED)]

    def best(self, count: int) -> list[Outcome]:
        """The best of the completed trials, the best first."""
        done = [outcome for outcome in self.outcomes() if outcome.accuracy is not None]
        return sorted(done, key=lambda outcome: outcome.rank)[:count]

    def run(self, ended: Callable[[Outcome], None], waiting: Callable[[str], None]) -> None:
        """Goes on until `tune.trials` are finished; `ended` is told of each, `waiting` what is
        going on.

        Raises StepFailed when the first three trials all fail.
        """
        finished = self.outcomes()
        while len(finished) < self.config.tune.trials:
            trial = self.study.ask()
            self._run_trial(trial, len(finished) + 1, waiting)
            outcome = self._outcome(self.study.trials[trial.number])
            ended(outcome)
            finished.append(outcome)
            if len(finished) >= _HOPELESS and all(outcome.error for outcome in finished):
                raise StepFailed(f"Every trial failed; the last: {outcome.error}")

    def _run_trial(
        self, trial: optuna.Trial, position: int, waiting: Callable[[str], None]
    ) -> None:
        framework, train = self.config.tune.framework, draw(trial, self.space, self.config.train)
        trial.set_user_attr("train", train.model_dump(mode="json"))
        directory = self._trial_directory(trial.number)
        shutil.rmtree(directory, ignore_errors=True)
        arguments = TrainArgs(
            arrays=self._arrays,
            plan=self._plan,
            features=self._features,
            architecture=self.config.model.architecture,
            train=train,
            model_dir=directory / "model",
            run_dir=directory,
        )
        title = f"trial {position}/{self.config.tune.trials}"
        watch = _Watch(trial, directory / "history.json", self.config, title, waiting)
        began, state, value = time.monotonic(), TrialState.PRUNED, None
        try:
            with _unheard():
                module, imports = f"components.training.train_{framework}", IMPORTED[framework]
                run_module(module, arguments, directory, seconds=None, watch=watch, imports=imports)
            watch.report()
            result = json.loads((directory / "result.json").read_text())
            trial.set_user_attr("val_loss", result["val_loss"])
            state, value = TrialState.COMPLETE, result["val_accuracy"]
        except optuna.TrialPruned:
            pass
        except StepFailed as error:
            # A recipe that diverges or does not fit the memory is an answer too: a bad one.
            trial.set_user_attr("error", str(error))
        trial.set_user_attr("seconds", time.monotonic() - began)
        self._drop_weights(trial.number)
        self.study.tell(trial, value, state)

    def _trial_directory(self, number: int) -> Path:
        return self.directory / "trials" / f"{self.name}-{number:04d}"

    def _drop_weights(self, number: int) -> None:
        for large in ("model", "checkpoints"):
            shutil.rmtree(self._trial_directory(number) / large, ignore_errors=True)

    def _repeat_interrupted(self) -> None:
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            self.study.enqueue_trial(trial.params)
            self.study.tell(trial.number, state=TrialState.FAIL)
            # Its repeat has a number, and thus a folder, of its own.
            self._drop_weights(trial.number)

    def _outcome(self, trial: FrozenTrial) -> Outcome:
        attributes = trial.user_attrs
        return Outcome(
            number=trial.number,
            train=TrainConfig.model_validate(attributes["train"]),
            accuracy=trial.value if trial.state == TrialState.COMPLETE else None,
            loss=attributes.get("val_loss"),
            epochs=trial.last_step or 0,
            seconds=attributes["seconds"],
            error=attributes.get("error", ""),
        )


class _Watch:
    """Hands a trainer's epochs to Optuna; called again and again while it runs."""

    def __init__(
        self,
        trial: optuna.Trial,
        history: Path,
        config: RunConfig,
        title: str,
        waiting: Callable[[str], None],
    ):
        self._trial, self._history, self._config = trial, history, config
        self._title, self._waiting, self._rows = title, waiting, 0
        waiting(title)

    def __call__(self) -> None:
        """Raises optuna.TrialPruned when the trial has fallen behind the others' median."""
        row = self.report()
        if row is None:
            return
        self._waiting(
            f"{self._title}, epoch {row['epoch']}/{self._config.train.epochs}, "
            f"val_accuracy {row['val_accuracy']:.4f}"
        )
        if self._config.tune.prune and self._trial.should_prune():
            raise optuna.TrialPruned

    def report(self) -> dict | None:
        """Reports the epochs that are new; returns the last of them."""
        if not self._history.is_file():
            return None
        new = json.loads(self._history.read_text())[self._rows :]
        for row in new:
            self._trial.report(row["val_accuracy"], row["epoch"])
        self._rows += len(new)
        return new[-1] if new else None


def _search_name(config: RunConfig, space: Space, data: str, code: str) -> str:
    """12 hex digits of what the trials of one search have in common, the code included."""
    architecture, framework = config.model.architecture, config.tune.framework
    common = {
        "data": data,
        "framework": framework,
        "architecture": architecture,
        "code": code,
        "augment": config.augment.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", exclude=_NO_MATTER),
        "space": {name: repr(dimension) for name, dimension in space.items()},
    }
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Trainers' own lines go to the log: twenty times thirty epochs are nothing to read."""
    number = os.environ.pop(CONSOLE_FD, None)
    try:
        yield
    finally:
        if number is not None:
            os.environ[CONSOLE_FD] = number
