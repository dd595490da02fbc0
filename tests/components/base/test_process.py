"""A step's process: its failure becomes one sentence, its crash too."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from components.base.commands import Arguments
from components.base.process import ROOT, StepFailed, run_module

_STEP = """
import json, os, signal, sys
from components.base.process import leave_error
arguments = json.load(open(sys.argv[1]))
if arguments["end"] == "sentence":
    leave_error(sys.argv[1], "step", "the loss is nan, expected a number.")
    sys.exit(1)
if arguments["end"] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(arguments["end"])
"""


class End(Arguments):
    """How the step is to end."""

    end: str | int


@pytest.fixture
def step(tmp_path, monkeypatch):
    """A module of its own on the path, run as a step."""
    (tmp_path / "some_step.py").write_text(_STEP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda end: run_module("some_step", End(end=end), tmp_path / "work", seconds=60)


def test_a_step_that_ends_well_leaves_its_arguments_for_a_run_by_hand(step, tmp_path):
    step(0)
    assert json.loads((tmp_path / "work" / "some_step.args.json").read_text()) == {"end": 0}


@pytest.mark.parametrize(
    "end, words",
    [
        ("sentence", "the loss is nan, expected a number."),
        (7, "exit status 7"),
        ("killed", "killed by signal 9"),
    ],
)
def test_a_step_that_fails_says_why(step, end, words, capfd):
    with pytest.raises(StepFailed, match=words):
        step(end)


def test_an_old_sentence_is_not_repeated(step):
    with pytest.raises(StepFailed, match="the loss is nan"):
        step("sentence")
    with pytest.raises(StepFailed, match="exit status 3"):
        step(3)


def test_a_watched_step_ends_when_its_watcher_objects(tmp_path, monkeypatch):
    (tmp_path / "some_step.py").write_text(
        "import os, sys, time\n"
        "open(sys.argv[1] + '.pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    written = tmp_path / "some_step.args.json.pid"

    def watch():
        if written.exists() and written.read_text():
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run_module("some_step", End(end=0), tmp_path, seconds=60, watch=watch)
    assert not psutil.pid_exists(int(written.read_text()))


def test_a_step_that_hangs_is_ended_and_said_to_have_taken_too_long(tmp_path, monkeypatch):
    (tmp_path / "some_step.py").write_text(
        "import os, sys, time\n"
        "open(sys.argv[1] + '.pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(StepFailed, match="some_step did not end within 3 s"):
        run_module("some_step", End(end=0), tmp_path, seconds=3)
    assert not psutil.pid_exists(int((tmp_path / "some_step.args.json.pid").read_text()))


def test_threads_and_gpus_are_bounded_where_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "some_step.py").write_text(
        "import json, os, sys\n"
        "names = ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES')\n"
        "json.dump([os.environ.get(n) for n in names], open(sys.argv[1] + '.out', 'w'))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    written = tmp_path / "some_step.args.json.out"
    run_module("some_step", End(end=0), tmp_path, seconds=60)
    assert json.loads(written.read_text()) == [None, None]
    run_module("some_step", End(end=0), tmp_path, seconds=60, threads=3, gpu=False)
    assert json.loads(written.read_text()) == ["3", "-1"]


@pytest.mark.parametrize("policy, spins", [(None, "100000"), ("ACTIVE", None)])
def test_tensorflow_is_quiet_and_threads_spin_briefly_unless_told_how_to_wait(
    tmp_path, monkeypatch, policy, spins
):
    (tmp_path / "some_step.py").write_text(
        "import json, os, sys\n"
        "names = ('TF_CPP_MIN_LOG_LEVEL', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')\n"
        "json.dump([os.environ.get(n) for n in names], open(sys.argv[1] + '.out', 'w'))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("TF_CPP_MIN_LOG_LEVEL", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    run_module("some_step", End(end=0), tmp_path, seconds=60)
    assert json.loads((tmp_path / "some_step.args.json.out").read_text()) == ["2", policy, spins]


def test_a_step_does_not_outlive_a_run_that_is_killed(tmp_path):
    (tmp_path / "sleeper.py").write_text(
        "import os, sys, time\n"
        "open(sys.argv[1] + '.pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = "from components.base.process import run_module\n"
    code += "from tests.components.base.test_process import End\n"
    code += f"run_module('sleeper', End(end=0), {str(tmp_path)!r}, seconds=60)"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    written = tmp_path / "sleeper.args.json.pid"
    for _ in range(200):
        if written.exists() and written.read_text():
            break
        time.sleep(0.05)
    child = int(written.read_text())
    parent.kill()
    parent.wait(10)
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the step's process was still there five seconds later")
