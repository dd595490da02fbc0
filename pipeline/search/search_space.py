"""What a search for hyperparameters may try: fields of `train`, each with its values.

`tune.space` narrows or extends the default space below, as JSON:

{"learning_rate": [1e-3, 1e-1]}     two numbers: a range, on a logarithmic scale where it is one by
                                    default or spans more than a factor of ten
{"batch_size": [64, 256]}           of batch_size the powers of two in it
{"optimizer": ["sgd", "adamw"]}     words, or other than two numbers: just these
{"schedule": null}                  not searched: the preset's value
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from components.base.refusal import ConfigError
from components.training.config import TrainConfig
from pipeline.configuration.config import RunConfig


class Trial(Protocol):
    """The part of `optuna.Trial` that draws values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...

    def suggest_categorical(self, name: str, choices: tuple) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones where the field holds only those."""

    low: float
    high: float
    log: bool = False

    def ends(self) -> tuple:
        return self.low, self.high

    def suggest(self, trial: Trial, name: str) -> float:
        if _whole(name):
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def parameter(self, name: str, value: Any) -> dict[str, Any]:
        """`value` as the trial's own parameter; empty where it lies outside."""
        return {name: value} if self.low <= value <= self.high else {}


@dataclasses.dataclass(frozen=True)
class Powers:
    """The powers of two from `low` to `high`."""

    low: int
    high: int

    def ends(self) -> tuple:
        return self.low, self.high

    def suggest(self, trial: Trial, name: str) -> int:
        low, high = (int(math.log2(end)) for end in self.ends())
        return 2 ** trial.suggest_int(f"log2 {name}", low, high, log=False)

    def parameter(self, name: str, value: int) -> dict[str, Any]:
        inside = self.low <= value <= self.high and math.log2(value).is_integer()
        return {f"log2 {name}": int(math.log2(value))} if inside else {}


@dataclasses.dataclass(frozen=True)
class Choices:
    """A few values without an order."""

    values: tuple

    def ends(self) -> tuple:
        return self.values

    def suggest(self, trial: Trial, name: str) -> Any:
        return trial.suggest_categorical(name, self.values)

    def parameter(self, name: str, value: Any) -> dict[str, Any]:
        return {name: value} if value in self.values else {}


Space = dict[str, Range | Powers | Choices]

DEFAULT: Space = {
    "optimizer": Choices(("adam", "adamw", "sgd", "muon")),  # first: weight_decay depends on it
    "learning_rate": Range(1e-4, 0.1, log=True),
    "batch_size": Powers(16, 512),
    "schedule": Choices(("constant", "plateau", "cosine", "one_cycle")),
    "label_smoothing": Range(0.0, 0.2),
    "weight_decay": Range(1e-5, 0.1, log=True),
}
FIXED = (
    "epochs", "loss", "seed", "threads", "devices", "precision", "checkpoint_seconds",
    "frameworks", "progressive_resizing",
)  # fmt: skip
"""Fields that a search holds, so that its trials can be compared: those that are no recipe, and
resizing, with which val_loss stands still at first."""


def search_space(config: RunConfig) -> Space:
    """The default space as `tune.space` changes it, but for what the recipe has no room for.

    Raises ConfigError for a field that cannot be searched, or values that `train` would refuse.
    """
    asked, base = config.tune.space, config.train
    space = DEFAULT | {
        name: _dimension(name, values) for name, values in asked.items() if values is not None
    }
    space = {name: space[name] for name in space if asked.get(name, ()) is not None}
    for name in list(space):
        refusal = _refusal(name, space, base)
        if refusal and name in asked:
            end = "" if refusal.endswith("?") else "."
            raise ConfigError(f"Bad value for tune.space: {name}: {refusal}{end}")
        if refusal:
            fitting = _fitting(name, space, base)
            if len(fitting) > 1:
                space[name] = Choices(fitting)
            else:
                del space[name]
    if not space:
        raise ConfigError("tune.space leaves nothing to search: expected at least one field.")
    return space


def left_out(config: RunConfig, space: Space) -> list[str]:
    """Lines that say what of the default space the recipe has no room for, and why."""
    lines = []
    for name, dimension in DEFAULT.items():
        if name in config.tune.space or space.get(name) == dimension:
            continue
        reason = _refusal(name, space | {name: dimension}, config.train)
        kept = space[name].ends() if name in space else ()
        values = [str(v) for v in dimension.ends() if v not in kept] if kept else []
        lines.append(f"not tried: {' '.join([name, *values])} ({reason})")
    return lines


def draw(trial: Trial, space: Space, base: TrainConfig) -> TrainConfig:
    """The recipe of one trial."""
    chosen: dict[str, Any] = {}
    for name, dimension in space.items():
        if name != "weight_decay" or _decays(base.model_dump() | chosen):
            chosen[name] = dimension.suggest(trial, name)
    return recipe(base, chosen)


def own_parameters(space: Space, base: TrainConfig) -> dict[str, Any]:
    """The preset's own values as a trial's parameters, those that lie in the space."""
    found: dict[str, Any] = {}
    for name, dimension in space.items():
        if name != "weight_decay" or _decays(base.model_dump()):
            found |= dimension.parameter(name, getattr(base, name))
    return found


def recipe(base: TrainConfig, chosen: Mapping[str, Any]) -> TrainConfig:
    """`base` with the values of `chosen`, and without weight decay where its optimiser has none.

    Raises ConfigError with the rule that they break.
    """
    values = base.model_dump() | dict(chosen)
    if "weight_decay" not in chosen and not _decays(values):
        values["weight_decay"] = 0
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].removeprefix("Value error, ")
        name = first["loc"][0]
        where = "" if name in chosen else f"train.{name} "
        raise ConfigError(f"{where}{first['input']!r}: {rule}") from error


def _decays(values: Mapping[str, Any]) -> bool:
    """Whether `TrainConfig` lets the optimiser have a decoupled weight decay."""
    return values["optimizer"] != "adam"


def _refusal(name: str, space: Space, base: TrainConfig) -> str:
    """Why `train` does not take a value of the dimension, or ""."""
    others = {}
    if name == "weight_decay" and "optimizer" in space:
        others = {"optimizer": max(space["optimizer"].ends(), key=lambda o: o != "adam")}
    # Every lowest rate must go with every highest one; whether they do is said of the lowest.
    if name == "learning_rate" and "min_learning_rate" in space:
        others = {"min_learning_rate": min(space["min_learning_rate"].ends())}
    if name == "min_learning_rate" and "learning_rate" in space:
        others = {"learning_rate": min(space["learning_rate"].ends())}
    for value in space[name].ends():
        try:
            recipe(base, others | {name: value})
        except ConfigError as error:
            return str(error)
    return ""


def _fitting(name: str, space: Space, base: TrainConfig) -> tuple:
    """Those of a dimension's choices that `train` takes; none of a range."""
    values = space[name].ends() if isinstance(space[name], Choices) else ()
    return tuple(v for v in values if not _refusal(name, space | {name: Choices((v,))}, base))


def _dimension(name: str, values: tuple) -> Range | Powers | Choices:
    """Raises ConfigError."""

    def refuse(reason: str) -> ConfigError:
        return ConfigError(f"Bad value for tune.space: {name}: {reason}.")

    if name in FIXED:
        raise refuse(f"not searched, so that trials can be compared; set train.{name} itself")
    if not values:
        raise refuse("no values: expected [low, high], [value, ...] or null")
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if not numbers or len(values) != 2:
        return Choices(tuple(values))
    low, high = values
    if not low < high:
        raise refuse(f"{low!r} is not below {high!r}: expected [low, high]")
    default = DEFAULT.get(name)
    if isinstance(default, Powers):
        return _powers(low, high, refuse)
    if _whole(name) and not (float(low).is_integer() and float(high).is_integer()):
        raise refuse(f"[{low!r}, {high!r}]: expected whole numbers")
    log = getattr(default, "log", False) or (low > 0 and high / low > 10)
    if log and low <= 0:
        raise refuse(f"{low!r} on a logarithmic scale: expected more than 0")
    whole = int if _whole(name) else float
    return Range(whole(low), whole(high), log)


def _powers(low: float, high: float, refuse: Callable[[str], ConfigError]) -> Powers:
    powers = [2**n for n in range(31) if low <= 2**n <= high]
    if not powers:
        raise refuse(f"no power of two lies between {low!r} and {high!r}")
    return Powers(powers[0], powers[-1])


def _whole(name: str) -> bool:
    return TrainConfig.model_fields[name].annotation is int
