"""Processes forked from a warm one do what processes started from nothing do."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from components.base import warm
from components.base.commands import Arguments
from components.base.process import ROOT, StepFailed, run_module, warm_processes

_STEP = """
import json, os, signal, sys, time
from components.base.process import leave_error
import slow_framework
arguments = json.load(open(sys.argv[1]))
found = {
    "loaded": slow_framework.LOADED, "pid": os.getpid(), "parent": os.getppid(),
    "directory": os.getcwd(), "variable": os.environ.get("SOME_VARIABLE"),
    "name": __name__, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
}
with open(sys.argv[1] + ".found", "w") as file:
    json.dump(found, file)
end = arguments["end"]
if end == "sentence":
    leave_error(sys.argv[1], "step", "the loss is nan, expected a number.")
    sys.exit(1)
if end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if end == "never":
    time.sleep(60)
sys.exit(end)
"""


class End(Arguments):
    """How the step is to end."""

    end: str | int


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A step that imports a framework, and a warm process that has."""
    (tmp_path / "some_step.py").write_text(_STEP)
    (tmp_path / "slow_framework.py").write_text("import os\nLOADED = os.getpid()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(warm, "IMPORTS", {"slow": ("slow_framework",)})
    return tmp_path


def step(work, end=0, **options):
    """Runs the step in a folder of its own; what it found."""
    options = {"seconds": 60, "gpu": False, "imports": "slow"} | options
    run_module("some_step", End(end=end), work, **options)
    return json.loads((work / "some_step.args.json.found").read_text())


def test_a_step_is_forked_from_the_process_that_has_imported_its_framework(work, monkeypatch):
    with warm_processes():
        first, second = step(work), step(work)
        monkeypatch.setenv("SOME_VARIABLE", "of now")
        monkeypatch.chdir(work)
        third = step(work)
    assert first["loaded"] == second["loaded"] == first["parent"] != first["pid"]
    assert first["pid"] != second["pid"] and first["name"] == "__main__"
    assert (first["variable"], third["variable"]) == (None, "of now")
    assert third["directory"] == str(work) != first["directory"] and first["gpus"] == "-1"


def test_without_a_warm_process_a_step_imports_its_framework_itself(work):
    found = step(work)
    assert found["loaded"] == found["pid"]
    with warm_processes():
        assert step(work, imports="")["parent"] == os.getpid()


@pytest.mark.parametrize(
    "end, words",
    [
        ("sentence", "the loss is nan, expected a number."),
        (7, "exit status 7"),
        ("killed", "killed by signal 9"),
    ],
)
def test_a_forked_step_that_fails_says_why_and_the_next_one_works(work, end, words, capfd):
    with warm_processes():
        with pytest.raises(StepFailed, match=words):
            step(work, end)
        assert step(work)


def test_a_forked_step_ends_when_its_time_is_over_or_its_watcher_objects(work):
    found = work / "some_step.args.json.found"

    def watch():
        if found.is_file():
            raise RuntimeError("enough")

    with warm_processes():
        with pytest.raises(StepFailed, match="did not end within 1 s"):
            step(work, "never", seconds=1)
        found.unlink(missing_ok=True)
        with pytest.raises(RuntimeError, match="enough"):
            step(work, "never", watch=watch)
        assert not psutil.pid_exists(json.loads(found.read_text())["pid"])


def test_nothing_is_left_when_the_run_is_killed(work):
    script = (
        "from components.base import warm\n"
        "from tests.components.base.test_warm import End\n"
        "from components.base.process import run_module, warm_processes\n"
        "warm.IMPORTS = {'slow': ('slow_framework',)}\n"
        "with warm_processes():\n"
        f"    run_module('some_step', End(end='never'), {str(work)!r}, seconds=60, gpu=False,"
        " imports='slow')\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    found, ending = work / "some_step.args.json.found", time.monotonic() + 60
    while not (found.is_file() and found.read_text()):
        assert time.monotonic() < ending and run.poll() is None
        time.sleep(0.05)
    step_and_warm = [json.loads(found.read_text())[key] for key in ("pid", "parent")]
    run.kill()
    run.wait()
    while any(psutil.pid_exists(number) for number in step_and_warm):
        assert time.monotonic() < ending
        time.sleep(0.05)
    # Of a killed run the folder of the sockets stays, in the system's place for temporary files.


def test_a_killed_warm_process_takes_its_steps_along_and_the_rest_start_from_nothing(work, capfd):
    with warm_processes():
        parent = step(work)["parent"]
        psutil.Process(parent).kill()
        psutil.Process(parent).wait()
        found = step(work)
    assert found["loaded"] == found["pid"]


def test_sparing_ones_import_one_after_the_other_where_one_core_is_left(tmp_path, monkeypatch):
    for name in ("one", "other"):
        stamp = f"print(time.monotonic(), file=open({str(tmp_path / name)!r}, 'a'), flush=True)\n"
        slow = f"import time\n{stamp}time.sleep(1.5)\n{stamp}"
        (tmp_path / f"slow_{name}.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(warm, "IMPORTS", {"one": ("slow_one",), "other": ("slow_other",)})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    def times() -> list[list[float]]:
        files = [tmp_path / "one", tmp_path / "other"]
        return [list(map(float, file.read_text().split())) for file in files if file.exists()]

    with warm_processes(sparing=True):
        end = time.monotonic() + 60
        while [len(of) for of in times()] != [2, 2]:
            assert time.monotonic() < end
            time.sleep(0.05)
    first, second = sorted(times())
    assert first[1] < second[0]
