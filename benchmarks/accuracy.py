"""Test accuracy of a preset's network by its recipe, over seeds; `--table` prints what was found.

    python -m benchmarks accuracy cifar10 --seeds 0 1 2 [train.epochs=50 ...]
    python -m benchmarks accuracy --table

Each training leaves a line in `out/benchmarks/accuracy.jsonl`. One that is there already, of the
same preset, framework, seed and recipe, is not repeated, and one that was interrupted goes on: run
the command again. Accuracy is that of the line's own prediction, in float32, on the whole test
split. Where the policy flips, so is the accuracy of each image's mean with its mirror image, with
what it costs.
"""

import argparse
import dataclasses
import datetime
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import trainings
from benchmarks.accuracy_table import markdown
from benchmarks.prepared import OUTPUT, configure, digest, packed
from benchmarks.records import machine
from benchmarks.train import chosen
from components.augmentation.policy import Flip
from components.networks.network import FRAMEWORKS
from pipeline.configuration.config import RunConfig
from pipeline.configuration.presets import PRESETS

RECORDS = OUTPUT / "accuracy.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("preset", nargs="?")
    parser.add_argument("--framework", choices=(*FRAMEWORKS, "both"), default="both")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N")
    parser.add_argument("--table", action="store_true", help="print the table, as Markdown")
    parser.add_argument(
        "--all", action="store_true", help="with every recipe, not each preset's own alone"
    )


def main(arguments: argparse.Namespace, overrides: dict[str, str]) -> int:
    """Trains what is missing, or prints the table; 2 without either."""
    if arguments.table:
        records = read(RECORDS)
        print(markdown(records, recipes(records), every=arguments.all))
        return 0
    if arguments.preset is None:
        print("Name a preset, e.g. `accuracy cifar10`, or ask for --table.", file=sys.stderr)
        return 2
    console = Console(width=100)
    config, _ = configure(arguments.preset, overrides)
    arrays = packed(arguments.preset, overrides)
    for seed in arguments.seeds:
        for framework in chosen(arguments.framework):
            key = Key(arguments.preset, framework, seed, digest(config, framework))
            if finished(read(RECORDS), key):
                console.print(f"{key.name}: is there already", highlight=False)
                continue
            record = measure(key, config, arrays, OUTPUT / "accuracy" / key.name)
            append(RECORDS, record | {"overrides": overrides})
            console.print(f"{key.name}: test accuracy {record['accuracy']:.4f}", highlight=False)
    return 0


@dataclasses.dataclass(frozen=True)
class Key:
    """What makes a training the same as another; `recipe` is `prepared.digest`."""

    preset: str
    framework: str
    seed: int
    recipe: str

    @property
    def name(self) -> str:
        return f"{self.preset}-{self.framework}-{self.recipe}-seed{self.seed}".replace("/", "_")


def measure(key: Key, config: RunConfig, arrays: Path, directory: Path) -> dict:
    """The record of one training: its key, what it reached, how long it took, on what."""
    train = config.train.model_copy(update={"seed": key.seed})
    config = config.model_copy(update={"train": train})
    trained = trainings.train(key.framework, config, arrays, directory, resume=True)
    flips = any(isinstance(operation, Flip) for operation in getattr(config.augment, key.framework))
    evaluated = trainings.evaluate(key.framework, trained, arrays, mirrored=flips)
    return {
        **dataclasses.asdict(key),
        **dataclasses.asdict(evaluated),
        "epochs": trained.result["epochs"],
        "val_accuracy": trained.result["val_accuracy"],
        "seconds": trained.result["train_seconds"],
        "images_per_second": trained.result["images_per_second"],
        "result": trained.result,
        "machine": machine(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def recipes(records: list[dict]) -> dict[tuple[str, str], str]:
    """The digest of the recipe as it stands today of each preset in `records` and framework, in the
    order of the presets; without those that are no more."""
    found = {record["preset"] for record in records}
    return {
        (preset, framework): digest(configure(preset, {})[0], framework)
        for preset in PRESETS
        if preset in found
        for framework in FRAMEWORKS
    }


def read(path: Path) -> list[dict]:
    """The records so far; none where there is no file. Raises ValueError naming a damaged line."""
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number} is no JSON: remove the line ({error}).") from error
    return records


def append(path: Path, record: dict) -> None:
    """Adds a line; others may be doing so too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def finished(records: list[dict], key: Key) -> bool:
    wanted = dataclasses.asdict(key).items()
    return any(
        wanted <= record.items() for record in ({k: r.get(k) for k in _KEYS} for r in records)
    )


_KEYS = [field.name for field in dataclasses.fields(Key)]
