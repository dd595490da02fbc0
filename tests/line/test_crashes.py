"""SIGKILL at every point of every step: the next run goes on, and releases what it would have."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from pipeline.outcome.unfinished import FILE
from serving.store.store import Store
from tests.helpers.killed_line import POINTS, VERDICT, KilledLine
from tests.helpers.whole_root import check_whole, orphans, running

QUICK = (
    *("train.epochs=1", "train.threads=1", "train.checkpoint_seconds=0"),
    *("gates.min_accuracy=0", 'export.formats=["onnx"]'),
)
PERCEPTRON = "tests.helpers.small_network:perceptron"
SMALL = (*QUICK[1:], "train.epochs=6", f"model.architecture={PERCEPTRON}")
STEPS = (
    "ingest", "statistics", "schema", "validator", "data_gate", "transform", "pack", "augment",
    "train_keras", "evaluate_keras", "train_torch", "evaluate_torch", "gates", "export", "push",
)  # fmt: skip
"""In an order in which they may run."""
MODELS = {"train_keras", "evaluate_keras", "train_torch", "evaluate_torch"}
"""Those of which two may run at once."""


@pytest.fixture(scope="module")
def line():
    """Runs that import their frameworks themselves, as a run does by itself."""
    with KilledLine() as line:
        yield line


class Killed:
    """Runs of one output root, and the steps that any of them has finished."""

    def __init__(self, line: KilledLine, root: Path, *arguments: str):
        self._line, self.root, self._arguments = line, root, arguments
        self._finished: set[str] = set()

    def at(self, where: str) -> None:
        """A run that dies there, having repeated nothing that was finished before."""
        status, said = self._line.run(self.root, *self._arguments, kill=where)
        assert status == -9, said
        step, _, point = where.partition(":")
        noted = json.loads((max((self.root / "runs").glob("2*")) / FILE).read_text())
        assert where == VERDICT or step in noted["running"]
        self._check(noted["steps"])
        if (self.root / "metadata.sqlite").exists():
            # What earlier ones left is gone: there is only this one's, and of a training beside it.
            beside = {step} | (MODELS if step in MODELS else set())
            least = point in ("middle", "end")
            assert least <= len(running(self.root)) < least + len(beside), where
            assert {path.split("/")[0] for path in orphans(self.root)} <= beside
        if point == "after":
            self._finished.add(step)

    def interrupted_at(self, where: str, code: int) -> dict:
        """The verdict of a run that gets a signal there."""
        status, said = self._line.run(self.root, *self._arguments, kill=where)
        verdict = json.loads((self.root / "runs/latest/verdict.json").read_text())
        step, _, number = where.split(":")
        assert status == verdict["exit_code"] == code, said
        assert verdict["sentence"].startswith(f"Interrupted by {number} during {step}:")
        assert verdict["sentence"] in said and "Traceback" not in said
        assert verdict["steps"][-1]["name"] == step and verdict["steps"][-1]["seconds"] > 0
        self._check(verdict["steps"][:-1])
        return verdict

    def end(self) -> dict:
        """The verdict of a run that nobody disturbs."""
        status, said = self._line.run(self.root, *self._arguments)
        assert status == 0, said
        assert "left no verdict: Killed" in said and "Traceback" not in said
        check_whole(self.root)
        verdict = json.loads((self.root / "runs/latest/verdict.json").read_text())
        self._check(verdict["steps"])
        return verdict

    def _check(self, steps: list[dict]) -> None:
        again = {step["name"] for step in steps if not step["cached"]}
        fresh = {"push"}  # it looks at the release every time
        if Store(self.root / "serving").models():
            fresh |= {"data_gate", "gates", "export"}  # a killed push had released: they judge it
        assert not again & (self._finished - fresh)
        self._finished |= {step["name"] for step in steps}


def test_a_line_that_is_killed_and_interrupted_goes_on_each_time_and_releases(warm_line, tmp_path):
    root = tmp_path / "out"
    killed = Killed(warm_line, root, "digits", *SMALL)
    killed.at("ingest:end")
    killed.at("train_torch:middle")
    killed.interrupted_at("train_torch:middle:SIGTERM", 143)
    assert running(root) == [] == orphans(root)  # what it could end in time it has ended well
    killed.interrupted_at("export:middle:SIGINT", 130)
    killed.at("export:after")
    verdict = killed.end()
    assert verdict["status"] == "released" and verdict["version"] == 1
    verdicts = [json.loads(path.read_text()) for path in sorted(root.glob("runs/2*/verdict.json"))]
    assert [v["exit_code"] for v in verdicts] == [137, 137, 143, 130, 137, 0]
    assert verdicts[1]["sentence"].startswith("Killed during train_torch, or the machine stopped")
    assert verdicts[1]["steps"][-1]["why"] == "killed"
    remade = _remade(warm_line, root, SMALL, "artifacts/data_gate/verdict/*/verdict.json")
    # Its verdict is read by no step that feeds training; the others judge against the release.
    assert remade.keys() == {"data_gate", "gates", "export", "push"}
    why = remade["data_gate"]
    assert why.startswith("its output verdict was damaged (verdict.json is truncated: 10 of")


def _remade(line: KilledLine, root: Path, arguments: tuple[str, ...], file: str) -> dict[str, str]:
    """Why steps ran, by name, after the cached file has lost all but its first bytes."""
    (path,) = root.glob(file)
    os.truncate(path, 10)
    status, said = line.run(root, "digits", *arguments, "release.keep=7")
    assert status == 0, said
    check_whole(root)
    assert len(list(root.glob(file))) == 1
    steps = json.loads((root / "runs/latest/verdict.json").read_text())["steps"]
    return {step["name"]: step["why"] for step in steps if not step["cached"]}


@pytest.mark.full
def test_a_line_that_is_killed_at_every_point_releases_what_an_undisturbed_one_does(line, tmp_path):
    killed = Killed(line, tmp_path / "killed", "digits", *QUICK)
    for step in STEPS:
        for point in POINTS:
            killed.at(f"{step}:{point}")
    killed.at(VERDICT)
    verdict = killed.end()
    whole = tmp_path / "whole"
    status, said = line.run(whole, "digits", *QUICK)
    assert status == 0, said
    undisturbed = json.loads((whole / "runs/latest/verdict.json").read_text())
    assert verdict["version"] == undisturbed["version"] == 1
    assert verdict["champion"] == undisturbed["champion"]
    for name, model in undisturbed["models"].items():
        for key in ("accuracy", "loss"):
            assert verdict["models"][name][key] == pytest.approx(model[key], abs=1e-6)
    files = [_release(root) for root in (killed.root, whole)]
    assert files[0] == files[1]
    remade = _remade(line, whole, QUICK, "artifacts/train_keras/model/*/model.weights.h5")
    assert "model.weights.h5 is truncated: 10 of" in remade["train_keras"] and "pack" not in remade


def _release(root: Path) -> set[str]:
    """Names of the files of the only release."""
    (release,) = Store(root / "serving").releases("digits")
    return {path.relative_to(release.path).as_posix() for path in release.path.rglob("*")}


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.full)])
def test_of_two_runs_at_once_one_works_and_the_other_names_it_and_ends_with_75(
    warm_line, tmp_path, times
):
    root = tmp_path / "out"
    for _ in range(times):
        (first, said), (second, _) = warm_line.race(root, "digits", *SMALL)
        assert (first, second) == (75, -9)  # who is not alone ends; who is goes on until killed
        assert f"Another run is using '{root}' (process " in said and " since 20" in said
        assert len(said.splitlines()) == 1
    assert len(list((root / "runs").glob("2*"))) == times
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many MiB, of which `leave(KIB)` leaves so many free."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(mebibytes: int) -> Path:
        options = ["-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs"]
        done = subprocess.run(["mount", *options, place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", place], capture_output=True)


def _leave(disk: Path, kibibytes: int | None) -> None:
    """Fills the disk but for that, or not at all."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    if kibibytes is not None:
        with ballast.open("wb") as file:
            free = shutil.disk_usage(disk).free - kibibytes * 1024
            os.posix_fallocate(file.fileno(), 0, max(1, free))


def _finds_the_disk_full(said: str, root: Path) -> None:
    assert "The disk that holds '" in said and "is full: " in said and "make room" in said
    assert "Traceback" not in said and "Error" not in said
    assert len(said.splitlines()) < 60
    if (root / "metadata.sqlite").exists():
        with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_first_run_on_a_disk_that_is_too_small_says_so_in_its_verdict(warm_line, small_disk):
    root = small_disk(2) / "out"
    status, said = warm_line.run(root, "digits", *SMALL)
    assert status == 1
    _finds_the_disk_full(said, root)
    verdict = json.loads((root / "runs/latest/verdict.json").read_text())
    assert verdict["exit_code"] == 1 and "is full" in verdict["sentence"]


@pytest.mark.full
def test_a_disk_that_is_full_at_any_step_costs_no_release(line, small_disk):
    disk = small_disk(64)
    root = disk / "out"
    status, said = line.run(root, "digits", *SMALL)
    assert status == 0, said
    # Every step runs again; so much room that step after step finds too little.
    other = ("data.max_megapixels=49", "train.seed=3", "gates.max_regression=1")
    stopped = []
    for room in (0, 16, 64, 850, 100, 150, 200, 300, 400, 600, 850, 1200, 1800, 2600):
        _leave(disk, room)
        status, said = line.run(root, "digits", *SMALL, *other)
        if status == 0:
            break
        assert status == 1, said
        _finds_the_disk_full(said, root)
        release = Store(root / "serving").current("digits")
        assert release.version == 1
        release.verify()
        verdict = json.loads((root / "runs/latest/verdict.json").read_text())
        stopped.append(verdict["steps"][-1]["name"] if verdict["steps"] else "start")
    print("the disk was full in", *stopped)
    assert len(set(stopped)) >= 2
    _leave(disk, None)
    status, said = line.run(root, "digits", *SMALL, *other)
    assert status == 0 and Store(root / "serving").current("digits").version == 2, said
    check_whole(root)


def test_what_a_kill_leaves_in_the_database_is_what_the_helper_sees(tmp_path):
    """Of the helper itself: it must not pass for want of looking."""
    with contextlib.closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as database:
        database.execute("CREATE TABLE Execution (id INT, last_known_state INT)")
        database.execute("CREATE TABLE Artifact (uri TEXT)")
        database.execute("INSERT INTO Execution VALUES (7, 2), (8, 3)")
        database.commit()
    (tmp_path / "artifacts/pack/arrays/7").mkdir(parents=True)
    assert running(tmp_path) == [7] and orphans(tmp_path) == ["pack/arrays/7"]
