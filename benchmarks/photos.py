"""A person's photographs to a release by the pretrained network, one run of each of three.

Ours with its default settings, from a cold start: time from the archive to a verified release, peak
memory, accuracy of both frameworks, images a second through the backbone. The plain tutorial loop
for transfer learning, a frozen backbone of the same weights and five epochs, on the same images in
the same splits: its training until it is as good on the test split as ours in PyTorch, or its best
epoch where it never is, beside our features step and PyTorch's training step. And the line from
scratch (`--no-scratch` leaves it out): the network and recipe that small images get, PyTorch alone,
which shortens it, while ours trains both frameworks in the time that it is compared by. key=value
goes to all runs of the line, `train.threads=1` also to the loop.
"""

import argparse
import dataclasses
import itertools
import json
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import trainings, whole_line
from benchmarks.prepared import DATA
from benchmarks.records import write
from components.base.frameworks import FRAMEWORKS
from components.base.process import StepFailed
from components.base.refusal import ConfigError
from components.data import image_index
from components.features.feature_arrays import SPEED
from components.networks.backbones import BACKBONES
from components.sources.open_source import open_listed
from pipeline.configuration.configure import configure
from pipeline.configuration.inferred import archive_kind

SECONDS, GIGABYTES = 240, 4.0
ACCURACY = 0.975
IMAGES_PER_SECOND = 40
FASTER = 5.0
POINTS = 10.0
"""Percentage points by which ours is to be better than the line from scratch."""
EPOCHS = 5

_PETS = DATA / "pets.tar"
_GIVEN = ("root", "data.source", "model.architecture", "model.backbone", "train.frameworks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        default=_PETS if _PETS.is_file() else None,
        metavar="PATH",
        help="an archive or a folder of photographs; what is held to is meant for pets.tar",
    )
    parser.add_argument("--no-scratch", action="store_true", help="leave the line from scratch out")
    parser.add_argument("--root", type=Path, default=Path("out"), help="for benchmarks/photos.json")


def main(arguments: argparse.Namespace, overrides: dict[str, str]) -> int:
    """Prints what was measured beside what it is held to; 1 when something is missed.

    Raises ConfigError for a wrong command line, DataRefused for images that cannot be trained on,
    StepFailed when a line released nothing or the loop failed.
    """
    source = source_of(arguments.images)
    backbone, threads = _check(source, overrides)
    console = Console(width=100)
    console.print("reading the libraries' files once")
    whole_line.read_libraries()
    with tempfile.TemporaryDirectory() as folder:
        line, images = Path(folder, "line"), Path(folder, "images")
        line.mkdir()
        found = {"ours": whole_line.run(source, overrides, line) | {"features": _speed(line)}}
        console.print(f"ours: {found['ours']['seconds']:.1f} s", highlight=False)
        write_split(source, line / "out" / "runs" / "latest" / image_index.INDEX, images)
        options = [str(images), "--backbone", backbone, "--threads", str(threads)]
        options += ["--epochs", str(EPOCHS)]
        found["tutorial"] = trainings.loop("benchmarks.tutorial_transfer", options)
        seconds = sum(epoch["seconds"] for epoch in found["tutorial"]["epochs"])
        console.print(f"tutorial loop: {seconds:.1f} s for {EPOCHS} epochs", highlight=False)
        if not arguments.no_scratch:
            scratch = Path(folder, "scratch")
            scratch.mkdir()
            settings = whole_line.UNGATED | overrides
            settings |= {"model.architecture": "cifar10", "train.frameworks": "torch"}
            found["scratch"] = whole_line.run(source, settings, scratch)
            console.print(f"from scratch: {found['scratch']['seconds']:.1f} s", highlight=False)
    return report(found, {"source": source, "overrides": overrides}, arguments.root, console)


def source_of(images: Path | None) -> str:
    """As `python -m pipeline run` takes it. Raises ConfigError where there is none."""
    if images is None or not images.exists():
        raise ConfigError(
            f"No photographs at {images or _PETS}: pass --images=PATH, an archive or a folder with "
            "one folder per class in it."
        )
    kind = "folder" if images.is_dir() else archive_kind(images.name)
    if kind is None:
        raise ConfigError(f"{images} is no folder, and not called as .tar and .zip archives are.")
    return f"{kind}:{images.resolve()}"


def _check(source: str, overrides: dict[str, str]) -> tuple[str, int]:
    """The backbone that `source` gets, and the threads asked for."""
    if given := [key for key in overrides if key in _GIVEN]:
        raise ConfigError(f"{given[0]} is of the benchmark's own: leave it out.")
    config = configure(source, overrides)
    backbone = config.model.architecture
    if backbone not in BACKBONES:
        raise ConfigError(
            f"{source} gets the network {backbone!r}, expected a pretrained one: pass photographs, "
            "see `python -m pipeline show`."
        )
    return backbone, config.train.threads


def _speed(line: Path) -> dict:
    """What the features step wrote of its speed."""
    (path,) = line.glob(f"out/artifacts/features/features/*/{SPEED}")
    return json.loads(path.read_text())


def write_split(source: str, index: Path, folder: Path) -> None:
    """Writes the images that ingest's `index` (images.csv) lists as `folder`/SPLIT/CLASS/NUMBER
    with their own endings: what was set aside is not among them. Raises StepFailed where some are
    not there any more."""
    rows = {
        row.name: Path(split, row.label)
        for split, listed in image_index.read(index).items()
        for row in listed
    }
    kind, _, path = source.partition(":")
    listing = open_listed(kind, path)
    read = (raw for chunk in listing.chunks() for raw in listing.read(chunk, 2**30))
    for number, raw in enumerate(read):
        if raw.data is not None and (place := rows.pop(raw.name, None)):
            own = folder / place / f"{number:06}{Path(raw.name).suffix}"
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_bytes(raw.data)
    if rows:
        raise StepFailed(f"{len(rows)} images left {source} since the line read them: {min(rows)}.")


@dataclasses.dataclass(frozen=True)
class Reached:
    """When a loop was as good as it was to be: after `epoch` epochs, at `accuracy`; or never, then
    it is its best epoch."""

    epoch: int
    seconds: float
    accuracy: float
    as_good: bool


def reached(epochs: list[dict], accuracy: float) -> Reached:
    """The first of `epochs`, as tutorial_transfer.py prints them, with that test accuracy, else the
    first of the best."""
    found = [epoch["accuracy"] for epoch in epochs]
    as_good = [number for number, one in enumerate(found) if one >= accuracy]
    at = as_good[0] if as_good else found.index(max(found))
    seconds = list(itertools.accumulate(epoch["seconds"] for epoch in epochs))[at]
    return Reached(at + 1, seconds, found[at], bool(as_good))


@dataclasses.dataclass(frozen=True)
class Row:
    """Of the table: `good` is None for what is held to nothing."""

    what: str
    measured: str
    bound: str = ""
    good: bool | None = None


def rows(found: dict) -> tuple[list[Row], dict]:
    """The table's rows and the ratios in them, of what was found: `ours` and `scratch` (maybe
    missing) as `whole_line.run` gives them, the first with `features`, and the `tutorial`'s."""
    ours, speed = found["ours"], found["ours"]["features"]
    table = [
        _at_most("archive to verified release, s", ours["seconds"], SECONDS),
        _at_most("peak memory of all processes, GB", ours["peak_bytes"] / 1e9, GIGABYTES),
        *(
            _at_least(f"test accuracy, {name}", ours["accuracy"][name], ACCURACY, digits=4)
            for name in FRAMEWORKS
        ),
        Row("test images", str(ours["images"])),
        _at_least(
            "through the backbone, images/s", speed["images"] / speed["seconds"], IMAGES_PER_SECOND
        ),
    ]
    training = ours["steps"]["features"] + ours["steps"]["train_torch"]
    loop = reached(found["tutorial"]["epochs"], ours["accuracy"]["torch"])
    ratios = {"faster": loop.seconds / training}
    until = "until as good as ours" if loop.as_good else "never as good, until its best"
    table += [
        Row("features and PyTorch's training, s", f"{training:.1f}"),
        Row(
            f"tutorial loop, {until}, s",
            f"{loop.seconds:.1f} ({loop.epoch} of {len(found['tutorial']['epochs'])} epochs)",
        ),
        Row("tutorial loop, test accuracy there", f"{loop.accuracy:.4f}"),
        _at_least("times faster than the loop", ratios["faster"], FASTER),
    ]
    if scratch := found.get("scratch"):
        points = 100 * ours["accuracy"]["torch"] - 100 * scratch["accuracy"]["torch"]
        ratios |= {"points": points}
        table += [
            Row("from scratch, test accuracy, torch", f"{scratch['accuracy']['torch']:.4f}"),
            _at_least("points better than from scratch", points, POINTS),
            _at_most("ours, s, beside the line from scratch", ours["seconds"], scratch["seconds"]),
        ]
    return table, ratios


def _at_most(what: str, measured: float, bound: float) -> Row:
    return Row(what, f"{measured:.1f}", f"at most {bound:.0f}", measured <= bound)


def _at_least(what: str, measured: float, bound: float, digits: int = 1) -> Row:
    return Row(what, f"{measured:.{digits}f}", f"at least {bound:g}", measured >= bound)


def report(found: dict, given: dict, root: Path, console: Console) -> int:
    """Prints steps and rows of what was `found`, and writes it with what was `given`; 1 when
    something is missed."""
    for name in ("ours", "scratch"):
        if name in found:
            console.print(whole_line.step_table(name, [found[name]]))
    table, (checked, ratios) = Table("what", "measured", "held to"), rows(found)
    for row in checked:
        missed = " missed" if row.good is False else ""
        table.add_row(row.what, row.measured, f"{row.bound}{missed}")
    console.print(table)
    write(root, "photos", given | ratios | {"runs": found}, console)
    return int(any(row.good is False for row in checked))
