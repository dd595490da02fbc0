"""Fingerprints of code: which of the project's files a step depends on, and their hashes.

A step's code is its modules and everything of the project that they import, transitively, plus
the lock: so an edited file, or an upgraded library, reruns just the steps that it can change.
"""

import ast
import functools
import hashlib
import json
from pathlib import Path

from components.process import ROOT

PACKAGES = ("pipeline", "components", "export", "serving")


def _file(module: str) -> Path | None:
    """The project's file of a dotted module name, or None for anything else."""
    if module.split(".")[0] not in PACKAGES:
        return None
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _imports(path: Path) -> frozenset[Path]:
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {file for name in names if (file := _file(name))}
    return frozenset(found)


def files_of(*modules: str) -> list[Path]:
    """The project's files that `modules` consist of and import, transitively, sorted."""
    waiting = []
    for module in modules:
        path = _file(module)
        if path is None:
            raise ValueError(f"{module!r} is not a module of this project.")
        waiting.append(path)
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return sorted(found)


def fingerprint(*modules: str) -> str:
    """`{"components/pack.py": "<16 hex>", ...}` as JSON, for the modules' files and the lock."""
    paths = [*files_of(*modules), ROOT / "requirements.txt"]
    return json.dumps({p.relative_to(ROOT).as_posix(): _hash(p) for p in paths}, sort_keys=True)


@functools.cache
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
