"""Finds what of an output root is no longer needed, and removes it; whoever calls holds its lock.

At whatever moment the removal is ended, what is left is a root that works: ML Metadata is told
first, each folder leaves in one rename, and what was on its way out is found the next time. The
release store is not touched, it has `release.keep` of its own; checkpoints and searches stay.
"""

import dataclasses
import json
import os
import re
import secrets
import shutil
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.base import disk
from components.base.refusal import ConfigError
from pipeline.configuration.config import CHECKPOINTS, pipeline_name
from pipeline.configuration.overrides import parse_overrides
from pipeline.configuration.runs import RunsConfig
from pipeline.line import reserve
from pipeline.operation.retention import KeptRun, needed_executions, outdated_runs
from pipeline.outcome.verdict import CONFIGURATION, all_repeated
from serving.store.store import Store

METADATA, ARTIFACTS, RUNS = "metadata.sqlite", "artifacts", "runs"
_LEAVING = ".removed"
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{8}\..+|\.latest-.+|\.probe-\d+")
"""Names of what `components/base/atomic.py`, `point_latest` and `writable` leave when killed."""
_ANY_RUN = ""


@dataclasses.dataclass
class Waste:
    """What may go: folders of runs and of artifacts, leftovers of processes that were killed, and
    the folders that TFX works in while a step runs.

    `bytes` is what the disk gets back. `kept` holds the ids of the artifacts and the executions
    that ML Metadata is to remember; None where that was not asked.
    """

    runs: list[Path]
    artifacts: list[Path]
    leftovers: list[Path]
    working: list[Path]
    bytes: int = 0
    kept: tuple[set[int], set[int]] | None = None

    @property
    def paths(self) -> list[Path]:
        return [*self.leftovers, *self.working, *self.runs, *self.artifacts]


def find_waste(
    root: Path, config: RunsConfig, *, name: str | None = None, artifacts: bool = True
) -> Waste:
    """What of `root` may go by `config`: of the runs only those of `name` (and of no name), where
    it is given; no artifact without `artifacts`.

    Raises StoreError when a release cannot say which run made it, ConfigError when ML Metadata's
    database cannot be read.
    """
    runs, current = _releases(root)
    latest = (
        {os.readlink(root / RUNS / "latest")} if (root / RUNS / "latest").is_symlink() else set()
    )
    known = [run for run in _runs(root) if name is None or run.name in (name, _ANY_RUN)]
    gone = outdated_runs(known, config.keep, runs | latest)
    waste = Waste([root / RUNS / run for run in gone], [], list(_leftovers(root)), [])
    metadata = root / METADATA
    if artifacts and metadata.is_file() and metadata.stat().st_size:
        from pipeline.operation.executions import Executions, place

        executions = Executions(metadata)
        waste.kept = needed_executions(
            executions.all(), config.artifacts, current, set(_unfinished(root))
        )
        needed = executions.places(waste.kept[0])
        waste.artifacts = [path for path in _artifacts(root) if place(path) not in needed]
        waste.working = _of_executions(root)
    waste.bytes = freed(waste.paths)
    return waste


def remove(root: Path, waste: Waste) -> None:
    """Removes it for good."""
    if waste.kept is not None:
        from pipeline.operation.executions import forget

        with reserve.lent(root):  # a full disk has none for the database to note what goes
            forget(root / METADATA, *waste.kept)
    leaving = root / _LEAVING
    for path in waste.paths:
        if path == leaving or not path.is_dir():
            _delete(path)
            continue
        leaving.mkdir(exist_ok=True)
        target = leaving / secrets.token_hex(8)
        os.rename(path, target)
        _delete(target)
    if leaving.is_dir():
        leaving.rmdir()


def clean(root: Path, config: RunsConfig, name: str, *, artifacts: bool) -> Iterator[str]:
    """What a run does at its end, behind earlier runs of its name; yields a sentence where it
    fails, and changes nothing else."""
    try:
        remove(root, find_waste(root, config, name=name, artifacts=artifacts))
    except (Exception, KeyboardInterrupt) as error:  # the verdict stands whatever becomes of them
        traceback.print_exc()
        reason = "the disk is full" if disk.is_full(error) else str(error) or type(error).__name__
        yield f"older runs could not be cleaned up: {reason}"


def freed(paths: Iterable[Path]) -> int:
    """Bytes that the disk gets back when all of these go: a file counts once, by the blocks that
    it takes, and only where no name of it stays."""
    seen: dict[tuple[int, int], int] = {}
    total = 0
    for path in paths:
        for entry in _walk(path):
            status = entry.lstat()
            if entry.is_symlink() or not entry.is_file():
                total += status.st_blocks * 512
                continue
            key = status.st_dev, status.st_ino
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == status.st_nlink:
                total += status.st_blocks * 512
    return total


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _releases(root: Path) -> tuple[set[str], set[str]]:
    """The ids of the runs that made the releases there are, and the current ones."""
    store = Store(root / "serving")
    of = {
        (name, release.version): str(release.manifest().get("run_id"))
        for name in store.names()
        for release in store.releases(name)
    }
    current = {
        of[name, release.version] for name in store.models() if (release := store.current(name))
    }
    return set(of.values()), current


def _runs(root: Path) -> Iterator[KeptRun]:
    folder = root / RUNS
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
            continue
        try:
            verdict = json.loads((path / "verdict.json").read_text())
            repeated = all_repeated(verdict.get("steps") or [])
            yield KeptRun(path.name, str(verdict["name"]), True, repeated)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            yield KeptRun(path.name, _name(path), False, False)


def _name(run: Path) -> str:
    """Of a run without a verdict."""
    try:
        return parse_overrides([f"@{run / CONFIGURATION}"]).get("name", _ANY_RUN)
    except ConfigError:
        return _ANY_RUN


def _unfinished(root: Path) -> Iterator[str]:
    """The nodes that have checkpoints to go on from."""
    for path in (root / CHECKPOINTS).glob("*/*/"):
        if any(path.iterdir()):
            yield f"{pipeline_name(path.parent.name)}.train_{path.name}"


def _artifacts(root: Path) -> list[Path]:
    """Every `STEP/OUTPUT/EXECUTION`, in a way that lists them in the order of the executions."""
    found = [
        path
        for path in (root / ARTIFACTS).glob("*/*/*")
        if path.name.isdecimal() and not path.parent.name.startswith(".")
    ]
    return sorted(found, key=lambda path: (int(path.name), path))


def _of_executions(root: Path) -> list[Path]:
    """What TFX needs only while a step runs, and no step does."""
    found = (root / ARTIFACTS).glob("*/.system/*/*")
    return sorted(path for path in found if path.is_dir())


def _leftovers(root: Path) -> Iterator[Path]:
    if (root / _LEAVING).is_dir():
        yield root / _LEAVING
    for folder in (root, root / RUNS, *(root / RUNS).glob("*/")):
        if folder.is_dir() and not folder.is_symlink():
            yield from (p for p in folder.iterdir() if _HALF_WRITTEN.fullmatch(p.name))
