"""The three artifacts of a model on disk: where they lie and what they hold. Standard library only.

An artifact is one file, or for a SavedModel a directory.
"""

import hashlib
from pathlib import Path

FILES = {"saved_model": "saved_model", "tflite": "model.tflite", "onnx": "model.onnx"}


def files(path: Path) -> list[Path]:
    """The file itself, or all files below the directory in the order of their relative paths."""
    if path.is_file():
        return [path]
    return sorted((p for p in path.rglob("*") if p.is_file()), key=Path.as_posix)


def size(path: Path) -> int:
    """Bytes of all `files`."""
    return sum(file.stat().st_size for file in files(path))


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content, or of a directory's `<hash of file> <relative path>` lines.

    Raises FileNotFoundError when there is nothing.
    """
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    lines = [f"{sha256(file)} {file.relative_to(path).as_posix()}\n" for file in files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
