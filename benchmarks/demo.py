"""The demo in a fresh output root: wall time, peak memory of all its processes, time per step."""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import measure

SECONDS, GIGABYTES, HELP_SECONDS = 240, 6.0, 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def main(_: argparse.Namespace) -> int:
    """Runs the demo once and its repetition; 1 when a run fails or a bound is missed."""
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "out"
        command = [sys.executable, "-m", "pipeline", "run", "digits", f"root={root}"]
        first = measure(command)
        verdict = json.loads((root / "runs" / "latest" / "verdict.json").read_text())
        again = measure(command)
    help_command = [sys.executable, "-m", "pipeline", "--help"]
    help_seconds = statistics.median(measure(help_command).seconds for _ in range(5))
    rows = [
        ("demo, wall time", f"{first.seconds:.0f} s", f"{SECONDS} s", first.seconds <= SECONDS),
        (
            "demo, peak memory of all processes",
            f"{first.peak() / 2**30:.1f} GiB",
            f"{GIGABYTES:.0f} GB",
            first.peak() <= GIGABYTES * 1e9,
        ),
        ("the same again, wall time", f"{again.seconds:.1f} s", "", again.code == 0),
        (
            "--help, wall time (median of 5)",
            f"{help_seconds:.2f} s",
            f"{HELP_SECONDS} s",
            help_seconds < HELP_SECONDS,
        ),
    ]
    table = Table("what", "measured", "at most", "")
    for what, measured, bound, good in rows:
        table.add_row(what, measured, bound, "" if good else "missed")
    console.print(table)
    steps = Table("step", "seconds")
    for step in verdict["steps"]:
        steps.add_row(step["name"], f"{step['seconds']:.1f}")
    console.print(steps)
    return int(first.code != 0 or not all(good for *_, good in rows))
