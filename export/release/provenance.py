"""What a release's manifest says of the code that made it: commit, lock, code and versions.

With the configuration and the images' digests, which stand beside it, that is all it takes to make
the model again. Framework-free.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess

from components.base.fingerprint import PACKAGES, ROOT, custom_files
from components.networks.backbones import BACKBONES

_LIBRARIES = (
    "tfx", "tensorflow", "keras", "torch", "onnx", "onnxruntime-gpu", "ai-edge-litert", "numpy",
)  # fmt: skip
_LOCK = "requirements.txt"
_GIT_SECONDS = 20


def recorded(architecture: str = "") -> dict:
    """The manifest's `provenance`, at this moment; None for what is not known.

    `git_commit` is that of the checkout, `git_dirty` whether its code or lock differ from it;
    `lock_sha256` is of requirements.txt, `code_sha256` of all the project's modules and the lock,
    with the user's own where `architecture` is `module:function`; `packages` are versions.
    """
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", *PACKAGES, _LOCK) if commit else None
    lock = ROOT / _LOCK
    return {
        "git_commit": commit or None,
        "git_dirty": None if changed is None else bool(changed),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        "code_sha256": code(architecture),
        "python": platform.python_version(),
        "packages": versions(),
    }


def backbone(name: str, trained: int) -> dict[str, str | int]:
    """The manifest's `backbone`: where the weights of the one called `name`, of BACKBONES, are
    from, and on which terms; the last `trained` of its layers were trained."""
    found = BACKBONES[name]
    return {
        "name": found.name,
        "package": found.package,
        "version": found.version,
        "weights_sha256": found.weights,
        "licence": found.licence,
        "trained_layers": trained,
    }


def code(architecture: str = "") -> str:
    """SHA-256 over the names and the contents of all that the line consists of."""
    files = {
        path.relative_to(ROOT).as_posix(): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    files |= {_LOCK: ROOT / _LOCK} | custom_files(architecture)
    found = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if path.is_file()
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of the libraries that models are made with, as far as they are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    """What git prints of the project's directory; None without git, or outside of a checkout."""
    # A hook of another checkout names that one to every git that it starts.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
