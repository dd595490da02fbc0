"""Images per second of training, augmentation included, beside plain tutorial loops, in turns.

`benchmarks/tutorial_torch.py` and `tutorial_keras.py` are what they are compared with: network,
images, augmentation and threads are the same. The line's trainers run at the tutorial's batch size,
which shows what the code gives, and at the preset's own, which is what the target is for. Imports
and the first step count for neither. `key=value` changes the preset, e.g. `train.batch_size=1024`.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import trainings, tutorial
from benchmarks.prepared import OUTPUT, configure, packed
from benchmarks.ratios import ratio
from benchmarks.records import machine, write
from components.networks.network import FRAMEWORKS
from pipeline.configuration.config import RunConfig
from pipeline.configuration.presets import TUTORIAL_POLICIES

TARGETS = {"torch": 3.5, "keras": 2.0}
LOOPS = {"torch": 530, "keras": 440}  # images/s of the tutorial loops on an idle machine like it
EPOCHS = 3  # of the line's trainings: the first one, which compiles, is not counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--framework", choices=(*FRAMEWORKS, "both"), default="both")
    parser.add_argument("--network", choices=tutorial.NETWORKS, default="cifar10")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="turns")
    parser.add_argument("--images", type=int, default=6400, metavar="N", help="per epoch")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every training")


def main(arguments: argparse.Namespace, overrides: dict[str, str]) -> int:
    """Prints medians and ratios; 1 when a target is missed."""
    console, missed = Console(width=100), False
    for framework in chosen(arguments.framework):
        config = recipe(arguments, overrides)
        arrays = packed("cifar10", overrides)
        rows, loads = _measure(framework, config, arrays, arguments, console)
        console.print(_table(framework, rows, arguments))
        if (loop := statistics.median(rows[0].speeds)) < 0.8 * LOOPS[framework]:
            console.print(
                f"The tutorial loop ran at {loop:,.0f} images/s; {LOOPS[framework]} were measured "
                "when the target was set: the machine is slower or busier, and the ratio another."
            )
        missed |= ratio(rows[-1].speeds, rows[0].speeds).median < TARGETS[framework]
        found = {"rows": [dataclasses.asdict(row) for row in rows], "loads": loads}
        found |= {"arguments": vars(arguments), "overrides": overrides}
        write(OUTPUT.parent, f"train-{framework}", found, console)
    return int(missed)


def chosen(framework: str) -> tuple[str, ...]:
    return FRAMEWORKS if framework == "both" else (framework,)


def recipe(arguments: argparse.Namespace, overrides: dict[str, str]) -> RunConfig:
    """The preset's recipe with the tutorial's augmentation. Raises ConfigError."""
    fixed = {
        "data.limit": str(arguments.images),
        "model.architecture": arguments.network,
        "train.threads": str(arguments.threads),
        "train.epochs": str(EPOCHS),
        "train.early_stopping": "0",
    }
    config, _ = configure("cifar10", fixed | overrides)
    return config.model_copy(update={"augment": TUTORIAL_POLICIES})


@dataclasses.dataclass
class Row:
    """Images per second of one kind of training, one number per turn."""

    what: str
    device: str = ""
    speeds: list[float] = dataclasses.field(default_factory=list)


def _measure(
    framework: str, config: RunConfig, arrays: Path, arguments: argparse.Namespace, console: Console
) -> tuple[list[Row], list[float]]:
    """The tutorial's row, then those of the line's trainers, measured in turns; and how many
    processes wanted each core before each turn."""
    images = arguments.images
    configs = {size: _at_batch(config, size) for size in (tutorial.BATCH, config.train.batch_size)}
    rows = [Row("tutorial loop, batch 64, float32"), *(Row(f"batch {size}") for size in configs)]
    loads = []
    for turn in range(arguments.repeats):
        loads.append(os.getloadavg()[0] / (os.cpu_count() or 1))
        loop = trainings.tutorial(
            framework, config.model.architecture, arrays, images, _threads(config)
        )
        rows[0].speeds.append(loop["images_per_second"])
        for row, at_batch in zip(rows[1:], configs.values()):
            with tempfile.TemporaryDirectory() as directory:
                trained = trainings.train(framework, at_batch, arrays, Path(directory, "run"))
            row.device = trained.result["device"]
            row.speeds.append(trainings.speed(trained, images))
        shown = ", ".join(f"{row.what} {row.speeds[-1]:,.0f}" for row in rows)
        shown += f" images/s (load before {loads[-1]:.2f} per core)"
        console.print(f"{framework}, turn {turn + 1}: {shown}", highlight=False)
    return rows, loads


def _threads(config: RunConfig) -> int:
    return config.train.threads or machine()["cores"]


def _at_batch(config: RunConfig, size: int) -> RunConfig:
    train = config.train.model_copy(update={"batch_size": size})
    return config.model_copy(update={"train": train})


def _table(framework: str, rows: list[Row], arguments: argparse.Namespace) -> Table:
    """Medians, and ratios to the first row; the target is for the last."""
    title = f"{framework}, {arguments.network}, {arguments.images:,} images, {rows[-1].device}"
    table = Table("training", "images/s", "ratio", "at least", title=title)
    for row in rows:
        cells = ["", ""]
        if row is not rows[0]:
            found = ratio(row.speeds, rows[0].speeds)
            cells[0] = str(found)
        if row is rows[-1]:
            target = TARGETS[framework]
            cells[1] = f"{target}{'' if found.median >= target else ' missed'}"
        table.add_row(row.what, f"{statistics.median(row.speeds):,.0f}", *cells)
    return table
