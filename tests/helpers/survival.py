"""Trainers killed by SIGKILL and started again until they end, and what must then be equal."""

import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers.training_data import ROOT

PATIENCE = 300  # seconds that a trainer may take to get to the next kill
SEEN = re.compile(r"(\d{10})-[0-9a-f]{16}\.safetensors")
STARTED = re.compile(r"on cpu, \d+ threads")
RESUMED = re.compile(r"resumed after (\d+) epochs and (\d+) of (\d+) steps")
CLOCK = ("seconds", "images_per_second", "train_seconds")


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill: the number of the newest checkpoint before and after it (0: none), and whether a
    file was being written. Numbers count steps and validations."""

    before: int
    after: int
    writing: bool


def newest(checkpoints: Path) -> int:
    """Number of the newest checkpoint in the directory, 0 without any."""
    names = os.listdir(checkpoints) if checkpoints.is_dir() else []
    return max((int(m[1]) for name in names if (m := SEEN.fullmatch(name))), default=0)


def being_written(checkpoints: Path) -> bool:
    names = os.listdir(checkpoints) if checkpoints.is_dir() else []
    return any(name.startswith(".") for name in names)


def start(module: str, arguments: Path, errors: Path) -> subprocess.Popen:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with errors.open("w") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(arguments)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=stream,
            start_new_session=True,
        )


def train_under_fire(module: str, arguments: Path, targets: list[int], seed: int) -> list[Kill]:
    """Kills the trainer when it has come to each of the checkpoints `targets`, a few random
    milliseconds later, or, every other time, in the midst of writing one; then lets it end.

    Checks that each process goes on from the newest checkpoint that the one before left, and that
    none ended by itself.
    """
    rng, kills = random.Random(seed), []
    checkpoints = Path(json.loads(arguments.read_text())["run_dir"]) / "checkpoints"
    errors = arguments.with_suffix(".stderr")
    for number, target in enumerate([*targets, None]):
        left = newest(checkpoints)
        process = start(module, arguments, errors)
        try:
            if target is None:
                assert process.wait(PATIENCE) == 0, errors.read_text()
            else:
                _await(process, lambda goal=target: newest(checkpoints) >= goal)
                if not target:
                    _await(process, lambda: STARTED.search(errors.read_text()))
                time.sleep(rng.uniform(0, 0.03))
                if number % 2:
                    _await(process, lambda: being_written(checkpoints))
                before = newest(checkpoints)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            ended = process.wait()
        assert ended == (0 if target is None else -signal.SIGKILL), errors.read_text()
        found = RESUMED.search(errors.read_text())
        done = int(found[1]) * (int(found[3]) + 1) + int(found[2]) if found else 0
        assert done == left or (not found and target == 0), errors.read_text()
        if target is not None:
            kills.append(Kill(before, newest(checkpoints), being_written(checkpoints)))
            assert kills[-1].after >= before  # a kill takes away nothing that was there
    return kills


def _await(process: subprocess.Popen, condition) -> None:
    """Until the condition holds, or the process has ended."""
    end = time.monotonic() + PATIENCE
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "the trainer came nowhere"
        time.sleep(0.0005)


def without_clock(path: Path) -> list[dict] | dict:
    """history.json or result.json without what is measured by the clock."""
    values = json.loads(path.read_text())
    rows = values if isinstance(values, list) else [values]
    return [{key: v for key, v in row.items() if key not in CLOCK} for row in rows]


def check_same_record(one: Path, other: Path) -> None:
    """Both run directories tell of the same training."""
    for name in ("history.json", "result.json"):
        assert without_clock(one / name) == without_clock(other / name)
