"""TFX without PyTorch: Beam's machine learning parts import that where they find it."""

import contextlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType


@contextlib.contextmanager
def without_torch() -> Iterator[None]:
    """To what is imported within, PyTorch is not installed, unless it was imported before.

    That takes a third off TFX's import and its memory, and nothing of the line's own process asks
    for PyTorch, which TensorFlow gets along with in some orders only.
    """
    finder = _Torch()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Torch(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torch":
            raise ModuleNotFoundError("PyTorch is left out here", name=fullname)
        return None
