"""`make setup` says in one sentence what a machine lacks, before it builds anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from components.base.fingerprint import ROOT


@pytest.fixture
def clone(tmp_path) -> Path:
    """The files that set-up reads, and an empty folder for commands that replace real ones."""
    for name in (".ci/setup.sh", ".ci/requirements-gpu.txt", "requirements.txt", "Makefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    return tmp_path


def _setup(clone: Path, **replaced: str) -> subprocess.CompletedProcess:
    for name, script in replaced.items():
        command = clone / "bin" / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    path = f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["make", "--no-print-directory", "setup"], cwd=clone, env=os.environ | {"PATH": path},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def _sentence(done: subprocess.CompletedProcess) -> str:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    return lines[0]


def test_another_platform_is_named(clone):
    script = 'case "$1" in -s) echo Darwin;; -m) echo arm64;; esac'
    assert "this is Darwin on arm64" in _sentence(_setup(clone, uname=script))
    assert not (clone / ".venv").exists()


def test_a_missing_python_is_named(clone):
    others = {"python3.11": "exit 127", "python3": "exit 1", "python": "exit 1"}
    sentence = _sentence(_setup(clone, **others))
    assert "Python 3.11 was not found" in sentence and "make setup PYTHON=" in sentence


def test_a_full_disk_is_named_with_both_figures(clone):
    table = "Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/x 9 9 3145728 9%% /"
    sentence = _sentence(_setup(clone, df=f"printf '{table}\\n'"))
    assert "3 GB are free" in sentence and "about 10 GB are needed" in sentence
    assert not (clone / ".venv").exists()


def test_nothing_is_done_when_nothing_changed():
    command = ["make", "--no-print-directory", "setup"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == ""


def test_the_lock_has_a_hash_for_every_package_and_says_how_to_install_it():
    text = (ROOT / "requirements.txt").read_text()
    head = [line for line in text.splitlines()[:20] if line.startswith("#")]
    assert any("make setup" in line for line in head) and any("glibc" in line for line in head)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    packages = [line for line in body.replace("\\\n", "").splitlines() if "==" in line]
    assert len(packages) > 200
    assert all("--hash=sha256:" in package for package in packages)
