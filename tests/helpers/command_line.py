"""Runs of `python -m pipeline`, as a person starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from components.base.fingerprint import ROOT
from tests.helpers.killed_line import KilledLine


def darkroom(*arguments: str, timeout: float = 60, **environment) -> subprocess.CompletedProcess:
    """`python -m pipeline ARGUMENTS` at the repository's root, with its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def run(root: Path, *arguments: str) -> tuple[subprocess.CompletedProcess, dict]:
    """A run with the output root `root`, and its verdict."""
    done = darkroom("run", *arguments, f"root={root}", timeout=600)
    return done, _verdict(root)


def run_on(
    line: KilledLine, root: Path, *arguments: str
) -> tuple[subprocess.CompletedProcess, dict]:
    """The same of a run that has TFX and the frameworks from `line`; its output has all it said."""
    status, said = line.run(root, *arguments)
    return subprocess.CompletedProcess(arguments, status, said, ""), _verdict(root)


def _verdict(root: Path) -> dict:
    return json.loads((root / "runs" / "latest" / "verdict.json").read_text())
