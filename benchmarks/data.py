"""CIFAR-10 from TFDS files to what training reads: plain TFX beside this line, in one run.

Each is run in a process of its own, in turns, and timed from the end of its imports. Plain TFX is
ImportExampleGen, StatisticsGen, SchemaGen, ExampleValidator, and Transform materialised as float32;
the line examines, hashes and accounts for every image too.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cifar10 import add_data_dir, checked_data_dir
from benchmarks.measure import Measured, measure
from benchmarks.records import write

RATIO = 3.0
_LINES = ("plain", "ours")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_dir(parser)
    parser.add_argument("--repetitions", type=int, default=1, metavar="N", help="of each line")
    parser.add_argument("--root", type=Path, default=Path("out"), help="for benchmarks/data.json")


def main(arguments: argparse.Namespace) -> int:
    """Prints medians and their ratio; 1 when a run fails or the ratio is missed.

    Raises ConfigError without CIFAR-10.
    """
    data_dir = checked_data_dir(arguments).resolve()
    runs: dict[str, list[dict]] = {line: [] for line in _LINES}
    for repetition in range(arguments.repetitions):
        # The other one first each time: what the machine warms up favours neither.
        for line in _LINES if repetition % 2 == 0 else reversed(_LINES):
            run = run_line(line, "cifar10", [f"data.dir={data_dir}"])
            if run is None:
                return 1
            runs[line].append(run)
    return _print(runs, arguments.root)


def run_line(line: str, preset: str, overrides: list[str]) -> dict | None:
    """What `benchmarks.lines_tfx` found, with `peak_bytes` and `load` (before, per core); None
    when it failed, its standard error then being on ours."""
    with tempfile.TemporaryDirectory() as directory:
        result, errors = Path(directory, "result.json"), Path(directory, "errors.txt")
        root = Path(directory, "out")
        command = [sys.executable, "-m", "benchmarks.lines_tfx", line, preset, str(result)]
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
        with errors.open("w") as file:
            measured: Measured = measure([*command, f"root={root}", *overrides], stderr=file)
        if measured.code != 0:
            print(errors.read_text()[-4000:], file=sys.stderr)
            return None
        found = json.loads(result.read_text()) | {"peak_bytes": measured.peak(), "load": load}
    for step in found["steps"]:
        step["peak_bytes"] = measured.peak(step["start"], step["stop"])
    return found


def _print(runs: dict[str, list[dict]], root: Path) -> int:
    def median(line: str, key: str) -> float:
        return statistics.median(run[key] for run in runs[line])

    console = Console(width=100)
    for line in _LINES:
        console.print(step_table(f"{line}, median of {len(runs[line])}", runs[line]))
    images = runs["ours"][0]["images"]
    table = Table("what", *_LINES, "ratio", "at least")
    ratio = median("plain", "seconds") / median("ours", "seconds")
    cpu_ratio = median("plain", "cpu_seconds") / median("ours", "cpu_seconds")

    def row(what: str, show: Callable[[str], str], *rest: str) -> None:
        table.add_row(what, *(show(line) for line in _LINES), *rest)

    row(
        "wall seconds, without imports",
        lambda line: f"{median(line, 'seconds'):.1f}",
        f"{ratio:.2f}",
        f"{RATIO}{'' if ratio >= RATIO else ' missed'}",
    )
    row("processor seconds", lambda line: f"{median(line, 'cpu_seconds'):.1f}", f"{cpu_ratio:.2f}")
    row("images a second", lambda line: f"{images / median(line, 'seconds'):.0f}")
    row("peak memory, GiB", lambda line: f"{median(line, 'peak_bytes') / 2**30:.2f}")
    row("of that, imports", lambda line: f"{median(line, 'imported_bytes') / 2**30:.2f}")
    row("others' load per core before", lambda line: f"{median(line, 'load'):.2f}")
    console.print(table)
    found = {"ratio": ratio, "cpu_ratio": cpu_ratio, "runs": runs}
    write(root, "data", found, console)
    return int(ratio < RATIO)


def step_table(title: str, runs: list[dict]) -> Table:
    """Medians over runs of one line: seconds and GB over the imports of each step."""
    table = Table("step", "seconds", "GB over imports", title=title)
    for steps in zip(*(run["steps"] for run in runs)):
        seconds = statistics.median(step["stop"] - step["start"] for step in steps)
        over = statistics.median(
            step["peak_bytes"] - run["imported_bytes"] for step, run in zip(steps, runs)
        )
        seen = any(step["peak_bytes"] for step in steps)
        table.add_row(steps[0]["name"], f"{seconds:.1f}", f"{over / 1e9:.2f}" if seen else "")
    return table
