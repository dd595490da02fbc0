"""Seconds until a network is as good as the tutorial's recipe ends, beside the tutorial's own.

The tutorials end at 73.3% test (Keras, `cifar10`, 36 epochs) and 68.8% (PyTorch, `cifar10_small`,
50 epochs). Their time is that number of epochs, of 50,000 images, at the images per second that
their loops reach on a slice before and after our training in the same run; their validation is not
counted, ours is. Our recipe is the preset's in fewer epochs, without crops; `key=value` changes it,
e.g. `train.epochs=6`.
"""

import argparse
import dataclasses
import statistics

from rich.console import Console
from rich.table import Table

from benchmarks import trainings
from benchmarks.prepared import OUTPUT, configure, packed
from benchmarks.records import machine, write
from benchmarks.train import chosen
from components.networks.network import FRAMEWORKS

TARGET = 20.0
TUTORIAL_IMAGES = 50_000  # of an epoch: the tutorials hold nothing of the training split out


@dataclasses.dataclass(frozen=True)
class Tutorial:
    """Where a tutorial's recipe ends on this data, measured once."""

    network: str  # and the preset's name
    epochs: int
    accuracy: float


TUTORIALS = {
    "keras": Tutorial("cifar10", 36, 0.733),
    "torch": Tutorial("cifar10_small", 50, 0.688),
}
FEWER = {
    "keras": {
        "train.epochs": "4",
        "train.learning_rate": "0.02",
        "augment.keras": '[{"kind": "flip"}]',
    },
    "torch": {"train.epochs": "8", "augment.torch": '[{"kind": "flip"}]'},
}
"""What is changed of the presets' recipes: in so few epochs nothing is learned by heart, and a
higher rate gets further."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--framework", choices=(*FRAMEWORKS, "both"), default="both")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every training")
    parser.add_argument(
        "--slice", type=int, default=6400, metavar="N", help="images of the tutorial loop's runs"
    )


@dataclasses.dataclass(frozen=True)
class Found:
    """Both sides: the tutorial's images per second on each slice; our accuracy and seconds, of
    training with validation."""

    tutorial_speeds: list[float]
    tutorial_seconds: float
    accuracy: float
    seconds: float
    epochs: int
    device: str

    @property
    def ratio(self) -> float:
        return self.tutorial_seconds / self.seconds


def main(arguments: argparse.Namespace, overrides: dict[str, str]) -> int:
    """Prints times and ratios; 1 when an accuracy or the ratio is missed."""
    console, missed = Console(width=100), False
    table = Table("", "tutorial", "ours", "epochs", "accuracy", "ratio", "at least")
    for framework in chosen(arguments.framework):
        goal, one = TUTORIALS[framework], _measure(framework, arguments, overrides)
        speed = statistics.mean(one.tutorial_speeds)
        reached, fast = one.accuracy >= goal.accuracy, one.ratio >= TARGET
        table.add_row(
            f"{framework}, {goal.network}, {one.device}",
            f"{one.tutorial_seconds:,.0f} s at {speed:,.0f} images/s",
            f"{one.seconds:.0f} s",
            f"{goal.epochs}, {one.epochs}",
            f"{goal.accuracy:.1%}, {one.accuracy:.1%}{'' if reached else ' missed'}",
            f"{one.ratio:.1f}" if reached else "none, not as good",
            f"{TARGET:.0f}{'' if fast else ' missed'}",
        )
        missed |= not (reached and fast)
        found = dataclasses.asdict(one) | {"ratio": one.ratio, "overrides": overrides}
        write(OUTPUT.parent, f"time_to_accuracy-{framework}", found, console)
    console.print(table)
    return int(missed)


def _measure(framework: str, arguments: argparse.Namespace, overrides: dict[str, str]) -> Found:
    goal = TUTORIALS[framework]
    recipe = {"train.threads": str(arguments.threads)} | FEWER[framework]
    config, _ = configure(goal.network, recipe | overrides)
    arrays = packed(goal.network, overrides)

    def tutorial_speed() -> float:
        threads = config.train.threads or machine()["cores"]
        loop = trainings.tutorial(framework, goal.network, arrays, arguments.slice, threads)
        return loop["images_per_second"]

    before = tutorial_speed()
    trained = trainings.train(framework, config, arrays, OUTPUT / "time_to_accuracy" / framework)
    speeds = [before, tutorial_speed()]
    evaluated = trainings.evaluate(framework, trained, arrays, mirrored=False)
    return Found(
        tutorial_speeds=speeds,
        tutorial_seconds=goal.epochs * TUTORIAL_IMAGES / statistics.mean(speeds),
        accuracy=evaluated.accuracy,
        seconds=trained.result["train_seconds"],
        epochs=trained.result["epochs"],
        device=trained.result["device"],
    )
