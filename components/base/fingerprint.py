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


def named_files(*modules: str) -> dict[str, Path]:
    """`files_of` by their paths in the project, e.g. `components/data/pack.py`."""
    return {path.relative_to(ROOT).as_posix(): path for path in files_of(*modules)}


def fingerprint(*modules: str, architecture: str = "") -> str:
    """`{"components/data/pack.py": "<16 hex>", ...}` as JSON, for the modules' files and the lock,
    and the user's files when `architecture` is `module:function`; that module may be a new one
    of the project, with all of the project that it imports."""
    module, colon, _ = architecture.partition(":")
    if colon and _file(module):
        modules += (module,)
    files = named_files(*modules) | {"requirements.txt": ROOT / "requirements.txt"}
    found = {name: _hash(path) for name, path in files.items()}
    return json.dumps(found | custom_hashes(architecture), sort_keys=True)


def custom_hashes(architecture: str) -> dict[str, str]:
    """`{"networks.py": "<16 hex>", ...}` of the file that `module:function` names and of those
    beside it (in its folder, or that of its package, and below) that it imports, transitively.

    Installed packages that it imports are not looked at. Empty for a name without a colon; raises
    ValueError where there is no such file.
    """
    return {name: digest(path) for name, path in custom_files(architecture).items()}


def custom_files(architecture: str) -> dict[str, Path]:
    """The files of `custom_hashes` by their names."""
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
            found[name] = path
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


def digest(path: Path) -> str:
    """16 hex digits of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@functools.cache
def _hash(path: Path) -> str:
    return digest(path)


def meaning(path: Path) -> str:
    """16 hex digits that change with what a file's code does, not with comments, docstrings and
    layout."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [n for n in body if not _is_text(n)]
            node.body = kept  # type: ignore[attr-defined]  # every node with a body takes one
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    """A string that stands alone: a docstring, or a comment in the form of one."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
