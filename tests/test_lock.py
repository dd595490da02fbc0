"""The lock holds no version that is known to be unsafe, and can be audited."""

import os
import re
import shutil
import subprocess

import pytest
from packaging.version import Version

from components.base.fingerprint import ROOT

FLOORS = {
    "keras": "3.15.1",
    "pillow": "12.3",
    "onnx": "1.21",
    "torch": "2.10",
    "starlette": "1.3.1",  # not in the lock today; where another package brings it
}
"""The oldest versions to accept of what opens other people's models, images and requests."""


def below_floor(lock: str) -> list[str]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", lock, re.M)
    return [
        f"{name} {version}, expected at least {floor}"
        for name, version in pins
        if (floor := FLOORS.get(name.lower())) and Version(version) < Version(floor)
    ]


def test_no_package_of_the_lock_is_below_its_floor():
    lock = (ROOT / "requirements.txt").read_text()
    assert below_floor(lock) == []
    assert all(f"\n{name}==" in lock for name in FLOORS.keys() - {"starlette"})


def test_one_below_its_floor_would_be_noticed():
    lock = "keras==3.15.0 \\\n    --hash=sha256:00\nstarlette[full]==1.3.0\npillow==12.10.0\n"
    assert below_floor(lock) == [
        "keras 3.15.0, expected at least 3.15.1", "starlette 1.3.0, expected at least 1.3.1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "status", "expected", "words"),
    [
        ("No known vulnerabilities found", 0, 0, "No known vulnerabilities found"),
        ("Found 2 known vulnerabilities in 1 package\nonnx 1.0", 1, 1, "onnx 1.0"),
        ("ConnectionError: no route", 1, 2, r"was not audited, .*\(ConnectionError: no route\)"),
    ],
)
def test_an_audit_that_could_not_take_place_is_told_from_a_bad_one(
    tmp_path, said, status, expected, words
):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/audit.sh", tmp_path / ".ci")
    uv = tmp_path / ".venv/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(f"#!/bin/sh\nprintf '%s\\n' '{said}' >&2\nexit {status}\n")
    uv.chmod(0o755)
    done = subprocess.run(
        ["bash", tmp_path / ".ci/audit.sh"], env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == expected
    assert re.search(words.replace(".*", "[^\n]*"), done.stdout + done.stderr)
