"""The JavaScript sample of a bundle with its packages, and a server of it."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.mobile.folder import SAMPLES
from tests.helpers import browser

TOOLS = ("node", "npm")


def needed() -> None:
    """Skips where the sample cannot run at all."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if browser.found() is None:
        missing.append("a browser")
    if missing:
        pytest.skip(f"not on PATH: {', '.join(missing)}")


def packages(directory: Path) -> Path:
    """node_modules of the sample, installed into `directory`; skips where npm cannot get them."""
    needed()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SAMPLES / "javascript" / name, directory / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm ci did not end within two minutes")
    if done.returncode:
        pytest.skip(f"npm ci failed: {(done.stderr.strip().splitlines() or ['?'])[0]}")
    return directory / "node_modules"


@contextlib.contextmanager
def served(bundle: Path, node_modules: Path, seconds: float = 300) -> Iterator[str]:
    """The address of the page of `bundle`, which gets these packages, by its own server."""
    sample = bundle / "javascript"
    # Links would lead out of the folder that is served, and copies are large.
    shutil.copytree(node_modules, sample / "node_modules", copy_function=os.link)
    process = subprocess.Popen(
        ["node", "serve.mjs", "0"], cwd=sample, stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        yield process.stdout.readline().strip()
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()
