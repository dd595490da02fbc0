"""Fingerprints of code: which of the project's files a step depends on, and their hashes.

A step's code is its modules and everything of the project that they import, transitively, plus
the lock: so an edited file, or an upgraded library, reruns just the steps that it can change.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from components.base.process import ROOT

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
    return frozenset(file for name in _imported(path, ROOT) if (file := _file(name)))


def imported_modules(path: Path) -> set[str]:
    """The project's modules that the file `path` imports anywhere in it; packages whose own
    `__init__.py` is only passed through are left out."""
    files = {file for file in _imports(path) if file.name != "__init__.py"}
    return {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files}


def _imported(path: Path, root: Path) -> list[str]:
    """Dotted names of all that `path` imports, and of what might be a module or a name in one;
    relative imports as seen from `root`."""
    names = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(root).parts[: -node.level] if node.level else ()
            base = ".".join([*package, *filter(None, [node.module])])
            names += [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
    return [name for name in names if name]


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


def fingerprint(*modules: str, architecture: str = "") -> str:
    """`{"components/data/pack.py": "<16 hex>", ...}` as JSON, for the modules' files and the lock,
    and the user's files when `architecture` is `module:function`; that module may be a new one
    of the project, with all of the project that it imports."""
    module, colon, _ = architecture.partition(":")
    if colon and _file(module):
        modules += (module,)
    paths = [*files_of(*modules), ROOT / "requirements.txt"]
    found = {path.relative_to(ROOT).as_posix(): _hash(path) for path in paths}
    return json.dumps(found | custom_hashes(architecture), sort_keys=True)


def custom_hashes(architecture: str) -> dict[str, str]:
    """`{"networks.py": "<16 hex>", ...}` of the file that `module:function` names and of those
    beside it (in its folder, or that of its package, and below) that it imports, transitively.

    Installed packages that it imports are not looked at. Empty for a name without a colon; raises
    ValueError where there is no such file.
    """
    module, colon, _ = architecture.partition(":")
    if not colon:
        return {}
    with _current_directory():
        spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise ValueError(f"{architecture!r}: there is no file of a module {module!r}.")
    file = Path(spec.origin)
    root = file.parents[module.count(".") + (file.name == "__init__.py")]
    waiting, found = [file], {}
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix()
        if name not in found:
            # Not cached: the user may edit it while a process lives.
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            waiting.extend(_beside(path, root))
    return found


def _beside(path: Path, root: Path) -> list[Path]:
    """The files under `root` that `path` imports, the project's own left out."""
    found = []
    for name in _imported(path, root):
        if name.split(".")[0] not in PACKAGES:
            whole = root.joinpath(*name.split("."))
            candidates = (whole.with_suffix(".py"), whole / "__init__.py")
            found += [file for file in candidates if file.is_file()]
    return found


@contextlib.contextmanager
def _current_directory() -> Iterator[None]:
    """The current directory is one to import from, as it is with `python -m`."""
    before = list(sys.path)
    sys.path.append(str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


@functools.cache
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
