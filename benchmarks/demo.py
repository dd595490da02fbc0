"""The demo in a fresh output root: wall time, peak memory of all its processes, time per step."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

SECONDS, GIGABYTES, HELP_SECONDS = 240, 6.0, 0.5


def main() -> int:
    """Runs the demo once and its repetition; 1 when a run fails or a bound is missed."""
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "out"
        command = [sys.executable, "-m", "pipeline", "run", "digits", f"root={root}"]
        first_code, first_seconds, first_bytes = _measure(command)
        verdict = json.loads((root / "runs" / "latest" / "verdict.json").read_text())
        again_code, again_seconds, _ = _measure(command)
    help_command = [sys.executable, "-m", "pipeline", "--help"]
    help_seconds = statistics.median(_measure(help_command)[1] for _ in range(5))
    rows = [
        ("demo, wall time", f"{first_seconds:.0f} s", f"{SECONDS} s", first_seconds <= SECONDS),
        (
            "demo, peak memory of all processes",
            f"{first_bytes / 2**30:.1f} GiB",
            f"{GIGABYTES:.0f} GB",
            first_bytes <= GIGABYTES * 1e9,
        ),
        ("the same again, wall time", f"{again_seconds:.1f} s", "", again_code == 0),
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
    return int(first_code != 0 or not all(good for *_, good in rows))


def _measure(command: list[str]) -> tuple[int, float, int]:
    """(exit code, wall seconds, peak bytes): the largest sum of proportional set sizes seen."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak, done = [0], threading.Event()

    def watch() -> None:
        root = psutil.Process(process.pid)
        while not done.wait(0.2):
            total = 0
            try:
                family = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                break
            for member in family:
                try:
                    total += member.memory_full_info().pss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return code, seconds, peak[0]
