"""LiteRT interpreters: threads and silence in one place."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serving.contract.release_files import FORMATS
from serving.inference.errors import NotServable, RuntimeMissing


def open_interpreter(path: str | Path, threads: int = 0) -> Any:
    """A LiteRT `Interpreter` with its tensors allocated; `threads` 0 leaves the number to LiteRT.

    Raises NotServable when the file cannot be loaded, RuntimeMissing without LiteRT.
    """
    with quiet():
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise RuntimeMissing(path, FORMATS["tflite"].package) from error
        try:
            interpreter = Interpreter(model_path=str(path), num_threads=threads or None)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise NotServable(f"LiteRT cannot load {path}: {error}") from error
    return interpreter


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Standard error closed to native libraries, which announce their delegates there."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
