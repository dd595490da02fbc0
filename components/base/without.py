"""Imports of large libraries without what they import only because it is there."""

import contextlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

OF_KERAS = ("matplotlib", "sklearn")
"""What Keras imports for pictures and wrappers that nobody here asks for: a fifth of its import."""

OF_TFX = ("torch", *OF_KERAS)
"""What TFX does without: Beam's machine learning parts import PyTorch, a third of TFX's import and
memory, which nothing of the line's own process asks for and TensorFlow gets along with in some
orders only."""


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """To what is imported within, the packages are not installed, unless they were imported before.
    Afterwards they are there as ever."""
    finder = _LeftOut(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LeftOut(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds them, for those who only ask whether they are there, and does not load them."""

    def __init__(self, packages: Sequence[str]):
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self._packages:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        raise ModuleNotFoundError(f"{name} is left out here", name=name)
