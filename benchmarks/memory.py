"""Whether memory and speed stand when the set grows: generated images through the data half.

Two archives of different size, for the peak memory over the imports, and a folder of as many files
as the smaller, for the rate at which it is listed and ingested from first to last.
"""

import argparse
import io
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.data import run_line, step_table
from benchmarks.records import write
from components.sources.source import CHUNK

CLASSES, SIDE = 10, 32
GIGABYTES, BYTES_PER_IMAGE = 2.0, SIDE * SIDE
"""At most; what grows is the listing and the account: names, digests. Never the pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, nargs=2, default=[100_000, 300_000], metavar="N")
    parser.add_argument("--root", type=Path, default=Path("out"), help="for benchmarks/memory.json")


def main(arguments: argparse.Namespace) -> int:
    """Prints peaks and rates; 1 when a run fails or a bound is missed."""
    console, (small, large) = Console(width=100), sorted(arguments.images)
    runs = {}
    with tempfile.TemporaryDirectory() as directory:
        for kind, count in (("tar", small), ("tar", large), ("folder", small)):
            path = Path(directory, f"{kind}-{count}")
            console.print(f"{kind} of {count:,} images", end="", highlight=False)
            start = time.perf_counter()
            {"tar": _tar, "folder": _folder}[kind](path, count)
            console.print(f" made in {time.perf_counter() - start:.0f} s", highlight=False)
            run = run_line("ours", f"{kind}:{path}", [])
            if run is None:
                return 1
            runs[kind, count] = run
    return _print(console, runs, arguments.root)


def _print(console: Console, runs: dict, root: Path) -> int:
    over = {key: run["peak_bytes"] - run["imported_bytes"] for key, run in runs.items()}
    table = Table(
        "set", "seconds", "listed in", "files a second, first and last quarter", "GB over imports"
    )
    for key, run in runs.items():
        first, last = _rates(run["shards"])
        table.add_row(
            f"{key[0]}, {key[1]:,}",
            f"{run['seconds']:.0f}",
            f"{run['open_seconds']:.1f} s",
            f"{first:.0f}, {last:.0f}",
            f"{over[key] / 1e9:.2f}",
        )
        console.print(step_table(f"{key[0]}, {key[1]:,}", [run]))
    console.print(table)
    small, large = (key for key in runs if key[0] == "tar")
    growth = (over[large] - over[small]) / (large[1] - small[1])
    peak = max(over.values())
    console.print(
        f"peak over imports {peak / 1e9:.2f} GB (at most {GIGABYTES:.0f}); {growth:.0f} bytes more "
        f"for each further image (at most {BYTES_PER_IMAGE}, a third of what it has in pixels)",
        highlight=False,
    )
    found = {f"{kind}-{count}": run for (kind, count), run in runs.items()}
    write(root, "memory", {"bytes_per_image": growth, "runs": found}, console)
    return int(peak > GIGABYTES * 1e9 or growth > BYTES_PER_IMAGE)


def _rates(shards: list[tuple[float, str]]) -> tuple[float, float]:
    """Files a second in the first and in the last quarter of ingest, by its shards' times."""
    times = [time for time, _ in shards]
    quarter = len(times) // 4
    spans = times[quarter] - times[0], times[-1] - times[-1 - quarter]
    first, last = (quarter * CHUNK / span for span in spans)
    return first, last


def _pictures(count: int) -> Iterator[tuple[str, bytes]]:
    """(class/name, PNG) of distinct noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        buffer = io.BytesIO()
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        yield f"class-{number % CLASSES}/{number:07d}.png", buffer.getvalue()


def _tar(path: Path, count: int) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in _pictures(count):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _folder(path: Path, count: int) -> None:
    for number in range(CLASSES):
        (path / f"class-{number}").mkdir(parents=True)
    for name, data in _pictures(count):
        (path / name).write_bytes(data)
