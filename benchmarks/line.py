"""The whole line beside a plain TFX line, from image files to a release, in one run.

Ours trains two networks, in Keras and in PyTorch, and releases the better one in every format;
plain TFX trains one, in Keras, and pushes a SavedModel. Both get the same part of CIFAR-10 with the
same splits and train for the same number of epochs, each in processes of its own from a cold start,
imports included, in turns. key=value goes to ours, `train.threads=1` for instance.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import subset, whole_line
from benchmarks.cifar10 import add_data_dir, checked_data_dir
from benchmarks.ratios import Ratio, ratio
from benchmarks.records import write
from components.base.frameworks import FRAMEWORKS
from components.base.process import StepFailed
from components.base.refusal import ConfigError
from components.sources.source import SPLITS
from pipeline.outcome.terminal import Terminal

RATIO = 1.0
_LINES = ("plain", "ours")
_SETTINGS = {
    "name": "line",
    "model.architecture": "cifar10",  # the tutorial's network, in both frameworks
    "train.batch_size": "64",
    # Whatever little they learn in so short a time: it is the whole line that is to be timed.
    **whole_line.UNGATED,
}
_GIVEN = ("root", "train.epochs", *_SETTINGS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_dir(parser)
    parser.add_argument(
        "--images", type=int, nargs=2, default=(5000, 1000), metavar=("TRAIN", "TEST"),
        help="of CIFAR-10; a tenth of the first are for validation (default: 5000 1000)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="of every training")
    parser.add_argument("--repetitions", type=int, default=1, metavar="N", help="of each line")
    parser.add_argument("--root", type=Path, default=Path("out"), help="for benchmarks/line.json")


def main(arguments: argparse.Namespace, overrides: dict[str, str]) -> int:
    """Prints medians and their ratio; 1 when ours takes longer.

    Raises ConfigError for a wrong command line or without CIFAR-10, StepFailed when a line failed
    or released nothing.
    """
    data_dir = checked_data_dir(arguments)
    _check(arguments, overrides)
    console = Console(width=100)
    console.print("choosing images of CIFAR-10, and reading the libraries' files once")
    runs: dict[str, list[dict]] = {line: [] for line in _LINES}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        records = Path(folder, "records")
        with Terminal(Path(folder, "log.txt")):  # for what TensorFlow has to say
            counts = _write(data_dir, tuple(arguments.images), images, records)
        whole_line.read_libraries()
        for repetition in range(arguments.repetitions):
            # The other one first each time: what the machine warms up favours neither.
            for line in _LINES if repetition % 2 == 0 else reversed(_LINES):
                with tempfile.TemporaryDirectory(dir=folder) as directory:
                    if line == "plain":
                        run = plain(records, counts, arguments.epochs, Path(directory))
                    else:
                        run = ours(images, arguments.epochs, overrides, Path(directory))
                runs[line].append(run)
                console.print(f"{line}: {run['seconds']:.1f} s", highlight=False)
    return report(runs, {"images": counts, "epochs": arguments.epochs}, arguments.root, console)


def _check(arguments: argparse.Namespace, overrides: dict[str, str]) -> None:
    if min(arguments.epochs, arguments.repetitions) < 1:
        raise ConfigError("--epochs and --repetitions must be 1 or more.")
    if given := [key for key in overrides if key in _GIVEN]:
        raise ConfigError(
            f"{given[0]} is the same for both lines or of the benchmark's own: leave it out "
            "(--epochs sets that of both)."
        )


def _write(data_dir: Path, wanted: tuple[int, int], images: Path, records: Path) -> dict[str, int]:
    """Both forms of the subset; returns how many images each split has."""
    classes, found = subset.read_cifar10(data_dir)
    chosen = subset.choose(classes, found["train"], found["test"], wanted)
    chosen.write_records(records)
    chosen.write_folder(images)
    return {name: len(split) for name, split in chosen.splits.items()}


def plain(records: Path, counts: dict[str, int], epochs: int, directory: Path) -> dict:
    """A run of benchmarks/plain_line_tfx.py in `directory`. Raises StepFailed."""
    path = directory / "result.json"
    command = ["benchmarks.plain_line_tfx", "--records", str(records), "--result", str(path)]
    command += ["--root", str(directory / "out"), "--epochs", str(epochs), "--counts"]
    code, run = whole_line.measured([*command, *(str(counts[name]) for name in SPLITS)], directory)
    result = json.loads(path.read_text()) if path.exists() else {}
    if code or not result.get("pushed"):
        raise StepFailed(f"The plain line pushed no model:\n{whole_line.errors(directory)}")
    steps = {step["name"]: step["stop"] - step["start"] for step in result["steps"]}
    accuracy = {"keras": result["accuracy"]}
    return run | {"accuracy": accuracy, "images": result["images"], "files": 1, "steps": steps}


def ours(images: Path, epochs: int, overrides: dict[str, str], directory: Path) -> dict:
    """A run of the line in `directory`. Raises StepFailed when it released nothing."""
    settings = _SETTINGS | overrides | {"train.epochs": str(epochs)}
    return whole_line.run(f"folder:{images}", settings, directory)


def report(runs: dict[str, list[dict]], given: dict, root: Path, console: Console) -> int:
    """Prints steps and the comparison of `runs`, as `plain` and `ours` return them, and writes them
    with what was `given`; 1 when ours takes longer."""
    for line in _LINES:
        console.print(whole_line.step_table(f"{line}, median of {len(runs[line])}", runs[line]))
    times, cpu = (
        ratio([run[key] for run in runs["ours"]], [run[key] for run in runs["plain"]])
        for key in ("seconds", "cpu_seconds")
    )
    console.print(_comparison(runs, times, cpu))
    write(
        root,
        "line",
        given | {"ratio": times.median, "cpu_ratio": cpu.median, "runs": runs},
        console,
    )
    return int(times.median > RATIO)


def _comparison(runs: dict[str, list[dict]], times: Ratio, cpu: Ratio) -> Table:
    table = Table("what", *_LINES, "ratio", "at most")

    def row(what: str, key: str, shown: Callable[[float], str], *rest: str) -> None:
        medians = (statistics.median(run[key] for run in runs[line]) for line in _LINES)
        table.add_row(what, *map(shown, medians), *rest)

    missed = " missed" if times.median > RATIO else ""
    row(
        "wall seconds, imports included", "seconds", "{:.1f}".format, str(times), f"{RATIO}{missed}"
    )
    row("processor seconds", "cpu_seconds", "{:.1f}".format, str(cpu))
    row("peak memory, GiB", "peak_bytes", lambda held: f"{held / 2**30:.2f}")
    for framework in FRAMEWORKS:
        found = ([run["accuracy"].get(framework) for run in runs[line]] for line in _LINES)
        cells = (f"{statistics.median(of):.4f}" if None not in of else "" for of in found)
        table.add_row(f"test accuracy, {framework}", *cells)
    row("test images", "images", "{:.0f}".format)
    row("artifacts exported", "files", "{:.0f}".format)
    row("others' load per core before", "load", "{:.2f}".format)
    return table
