"""An output root that lives through nights, disturbed or not, and what two of them must have alike.

A disturbance ends a run of that night; the same command is started again until it ends by itself.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.base.fingerprint import ROOT
from pipeline.operation.cleaning import freed
from pipeline.outcome.unfinished import where
from serving.store.store import Store
from tests.helpers.command_line import darkroom
from tests.helpers.killed_line import KilledLine
from tests.helpers.nights import Disturbance, Night
from tests.helpers.whole_root import check_whole

_CODES = {"SIGKILL": (-9,), "SIGTERM": (143, -15), "SIGINT": (130, 1), "disk": (1,)}
"""Exit status of a run that was disturbed: of a signal's also before the run has begun."""
_RUN_ID = re.compile(r"\d{8}-\d{6}-\d{6}")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a night ended: the verdict of the run that ended by itself, and what is released then.

    `repeated`: an earlier run's verdict was taken over, without TFX. `struck`: which disturbances
    ended a run, and where. `cold`: the run was a process of its own, not forked from one that has
    imported TFX. `bytes` is what the output root takes on disk. `problems` is empty where all is
    whole.
    """

    code: int
    status: str
    sentence: str
    repeated: bool
    version: int | None
    lineage: str
    champion: str | None
    accuracy: float
    seconds: float
    bytes: int
    runs: int
    cold: bool
    struck: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Life:
    """`root` through the nights. With `disk`, the mount of a small disk below which it lies, it is
    disturbed; without, nights of nothing new are processes of their own."""

    def __init__(self, line: KilledLine, root: Path, name: str, disk: Path | None = None):
        self.root, self._line, self._name, self._disk = root, line, name, disk
        self.store = Store(root / "serving")

    def live(
        self, night: Night, arguments: Sequence[str], usual: float, before: int | None
    ) -> Outcome:
        """`usual` is how many seconds such a night takes, `before` the version that was current
        when the night before had ended."""
        began = time.monotonic()
        if "rollback" in night.events and self._current() == before:
            _store("rollback", self._name, "--root", str(self.root))
        problems: list[str] = []
        struck: list[str] = []
        code, runs = -9, 0
        for disturbance in night.disturbances if self._disk else ():
            runs += 1
            newest, current = self._newest(), self._current()
            code, said = self._disturbed(disturbance, arguments, usual)
            if code in (0, 3, 4):
                break
            struck.append(f"{disturbance.kind} {self._where(newest)}")
            problems += self._after(disturbance, code, said, current)
        cold = self._disk is None and not night.events
        if code not in (0, 3, 4):
            runs += 1
            code, said = self._undisturbed(arguments, cold)
        if "Traceback" in said:
            problems.append(f"a traceback: {said[-500:]}")
        seconds = time.monotonic() - began
        try:
            check_whole(self.root)
        except AssertionError as error:
            problems.append(f"not whole: {error!r}")
        return self._outcome(code, seconds, runs, cold, struck, problems)

    def _undisturbed(self, arguments: Sequence[str], cold: bool) -> tuple[int, str]:
        if not cold:
            return self._line.run(self.root, *arguments)
        done = darkroom("run", *arguments, f"root={self.root}", timeout=600)
        return done.returncode, done.stdout + done.stderr

    def _disturbed(
        self, disturbance: Disturbance, arguments: Sequence[str], usual: float
    ) -> tuple[int, str]:
        if disturbance.kind != "disk":
            when = f"{disturbance.moment * usual:.3f}::{disturbance.kind}"
            return self._line.run(self.root, *arguments, kill=when)
        assert self._disk is not None
        ballast = self._disk / "ballast"
        try:
            with ballast.open("wb") as file:
                free = shutil.disk_usage(self._disk).free - disturbance.room * 1024
                os.posix_fallocate(file.fileno(), 0, max(1, free))
            return self._line.run(self.root, *arguments)
        finally:
            ballast.unlink()

    def _after(
        self, disturbance: Disturbance, code: int, said: str, before: int | None
    ) -> list[str]:
        """What is wrong right after a disturbance."""
        found = []
        if code not in _CODES[disturbance.kind] or "Traceback" in said:
            found.append(f"{disturbance} ended with {code}: {said[-500:]}")
        if disturbance.kind == "disk" and "is full" not in said:
            found.append(f"{disturbance} is not told of: {said[-500:]}")
        release = self.store.current(self._name)
        if before is not None:
            if release is None or release.version < before:
                found.append(f"{disturbance} lost release {before}")
            else:
                release.verify()
        return found

    def _newest(self) -> str:
        """Name of the newest run's directory."""
        return max((path.name for path in self.root.glob("runs/2*")), default="")

    def _where(self, earlier: str) -> str:
        """Where the newest run was when it ended, if it began at all."""
        if (newest := self._newest()) == earlier:
            return "before it began"
        verdict = self.root / "runs" / newest / "verdict.json"
        if not verdict.exists():
            return where(verdict.parent)
        steps = json.loads(verdict.read_text())["steps"]
        return f"at {steps[-1]['name']}" if steps else "before its first step"

    def _current(self) -> int | None:
        release = self.store.current(self._name)
        return release.version if release else None

    def _outcome(
        self,
        code: int,
        seconds: float,
        runs: int,
        cold: bool,
        struck: list[str],
        problems: list[str],
    ) -> Outcome:
        verdict = json.loads((self.root / "runs/latest/verdict.json").read_text())
        if verdict["exit_code"] != code:
            problems.append(f"exit code {code}, but {verdict['exit_code']} in the verdict")
        release = self.store.current(self._name)
        manifest = release.manifest() if release else {}
        return Outcome(
            code=code,
            status=verdict["status"],
            sentence=_RUN_ID.sub("RUN", verdict["sentence"]).replace(str(self.root), "ROOT"),
            repeated=verdict["repeats"] is not None,
            version=release.version if release else None,
            lineage=release.contract()["lineage"] if release else "",
            champion=manifest.get("framework"),
            accuracy=manifest.get("metrics", {}).get("accuracy", 0.0),
            seconds=round(seconds, 2),
            bytes=freed([self.root]),
            runs=runs,
            cold=cold,
            struck=tuple(struck),
            problems=tuple(problems),
        )


def differences(disturbed: Outcome, undisturbed: Outcome) -> list[str]:
    """In what the two nights ended otherwise.

    A run that is killed once it has released leaves the next one with nothing to release: of a
    disturbed night `unchanged` stands for `released`, and its sentence is another.
    """
    same = ("code", "version", "lineage", "champion", "accuracy")
    if disturbed.status != undisturbed.status and not (
        disturbed.struck and {disturbed.status, undisturbed.status} == {"unchanged", "released"}
    ):
        same += ("status",)
    if disturbed.code or disturbed.status == undisturbed.status == "released":
        same += ("sentence",)
    pairs = ((name, getattr(disturbed, name), getattr(undisturbed, name)) for name in same)
    return [f"{name}: {one!r} instead of {other!r}" for name, one, other in pairs if one != other]


def release_kept(night: Night, before: Outcome | None, now: Outcome) -> list[str]:
    """What is wrong with the release after a night: only a run that says so releases a version, a
    new one, and only a rollback goes back."""
    was, is_now = (before.version or 0) if before else 0, now.version or 0
    if "rollback" in night.events:
        right = is_now < was
    elif now.status == "released" or (now.struck and now.status == "unchanged"):
        right = is_now > was or now.status == "unchanged" and is_now == was
    else:
        right = is_now == was
    return [] if right else [f"release {is_now} after {was}, {now.status} with {now.code}"]


def at_the_end(disturbed: Life, undisturbed: Life, name: str) -> list[str]:
    """What is wrong with two roots whose nights are over: their releases, histories, leftovers."""
    found = []
    for life in (disturbed, undisturbed):
        done = darkroom("gc", "--dry-run", f"root={life.root}")
        if done.stdout.strip() != "Nothing to remove.":
            found.append(f"gc finds in {life.root}: {done.stdout}{done.stderr}")
        _store("verify", name, "--root", str(life.root))
    histories = [
        [(event.event, event.version, event.lineage) for event in life.store.history(name)]
        for life in (disturbed, undisturbed)
    ]
    if histories[0] != histories[1]:
        found.append(f"histories differ: {histories[0]} and {histories[1]}")
    kept = [life.store.releases(name) for life in (disturbed, undisturbed)]
    for one, other in zip(*kept):
        files = [sorted(release.manifest()["files"]) for release in (one, other)]
        golden = [np.load(release.path / "golden.npz") for release in (one, other)]
        if files[0] != files[1] or any((golden[0][k] != golden[1][k]).any() for k in golden[1]):
            found.append(f"release {one.version} has other files, or other answers")
    if len(kept[0]) != len(kept[1]):
        found.append(f"{len(kept[0])} releases are kept instead of {len(kept[1])}")
    sizes = [freed([life.root]) for life in (disturbed, undisturbed)]
    if sizes[0] > 1.2 * sizes[1]:
        found.append(f"the disturbed root takes {sizes[0]} bytes instead of {sizes[1]}")
    return found


def _store(*arguments: str) -> None:
    command = [sys.executable, "-m", "serving.store", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
