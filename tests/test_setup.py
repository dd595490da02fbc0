"""`make setup` says in one sentence what a machine lacks, before it builds anything, and builds
only what changed: tried on a copy of the files it reads, with commands in the place of pip and uv.
"""

import hashlib
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


def _command(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _setup(clone: Path, **replaced: str) -> subprocess.CompletedProcess:
    for name, script in replaced.items():
        _command(clone / "bin" / name, script)
    # What `make test` itself was told is not for this set-up, and no index of packages is either.
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GPU", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    path = f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["make", "--no-print-directory", "setup"], cwd=clone, capture_output=True, text=True,
        env=environment | {"PATH": path, "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}, timeout=60,
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


def _built(clone: Path, stamp: str, uv: str = "exit 0") -> Path:
    """An environment whose commands only write down how they were called; returns its stamp."""
    note = f'echo "${{0##*/}} $*" >>"{clone}/calls"'
    _command(clone / ".venv/bin/python", note)
    _command(clone / ".venv/bin/uv", f"{note}\n{uv}")
    (clone / ".venv/.lock-sha256").write_text(f"{stamp}\n")
    return clone / ".venv/.lock-sha256"


def _digest(clone: Path) -> str:
    return hashlib.sha256((clone / "requirements.txt").read_bytes()).hexdigest()


def _installing(clone: Path) -> list[str]:
    """The calls of pip and uv, without their options."""
    calls = [line.split() for line in (clone / "calls").read_text().splitlines()]
    return [" ".join(w for w in words if w[0] not in "-/") for words in calls if "pip" in words]


def test_nothing_is_done_when_nothing_changed(clone):
    stamp = _built(clone, _digest(clone))
    before = stamp.stat().st_mtime_ns
    done = _setup(clone)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stamp.stat().st_mtime_ns == before and _installing(clone) == []


def test_another_lock_is_installed_and_stamped(clone):
    stamp = _built(clone, "0" * 64)
    done = _setup(clone)
    assert done.returncode == 0 and "building .venv from requirements.txt" in done.stdout
    assert _installing(clone) == [
        "python pip install",
        "uv pip sync .venv/bin/python requirements.txt",
        "uv pip list .venv/bin/python",
    ]
    assert stamp.read_text().strip() == _digest(clone)


def test_an_installation_that_fails_leaves_no_stamp_and_is_shown(clone):
    stamp = _built(clone, "0" * 64, uv="echo no such hash >&2\nexit 1")
    done = _setup(clone)
    assert done.returncode != 0 and not stamp.exists()
    assert "no such hash\n" in done.stderr and "uv pip sync" in done.stderr


def test_the_lock_has_a_hash_for_every_package_and_says_how_to_install_it():
    text = (ROOT / "requirements.txt").read_text()
    head = [line for line in text.splitlines()[:20] if line.startswith("#")]
    assert any("make setup" in line for line in head) and any("glibc" in line for line in head)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    packages = [line for line in body.replace("\\\n", "").splitlines() if "==" in line]
    assert len(packages) > 200
    assert all("--hash=sha256:" in package for package in packages)
