"""What a release consists of: the table of formats, and the names of all its files.

Adding a format is one row here and one module `export/formats/<name>.py`. Standard library only.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal

Runtime = Literal["tensorflow", "litert", "onnxruntime"]


@dataclasses.dataclass(frozen=True)
class Format:
    """One form in which a model is exported, verified, released and opened."""

    name: str
    """In contracts, verdicts and records of parity; `export/formats/<name>.py` writes it."""
    title: str
    """What people call it."""
    file: str
    """Its name among a model's exports; in a release too, unless it is a directory."""
    runtime: Runtime
    """What opens it, see export/verification/runtimes.py and serving/inference/."""
    package: str
    """What must be installed for that."""
    from_torch: bool = False
    """PyTorch writes it by itself. Whatever it does not is made of a Keras twin, which a custom
    network has none of."""
    batch_fixed: bool = False
    """It takes one image at a time, and is verified so."""
    directory: bool = False
    """A release is that directory itself, as TensorFlow Serving and Triton want it."""

    def in_release(self, release: Path) -> Path:
        """Where it lies in a release's directory."""
        return release if self.directory else release / self.file


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "saved_model", "SavedModel", "saved_model", "tensorflow", "tensorflow", directory=True
        ),
        Format("tflite", "TFLite", "model.tflite", "litert", "ai-edge-litert"),
        Format("onnx", "ONNX", "model.onnx", "onnxruntime", "onnxruntime", from_torch=True),
    )
}
"""The formats by name, in the order in which they are made and listed."""

MANIFEST = "manifest.json"
CONTRACT = "contract.json"
CONTRACT_IN_SAVED_MODEL = f"assets.extra/{CONTRACT}"
SAVED_MODEL_GRAPH = "saved_model.pb"
LABELS = "labels.txt"
GOLDEN = "golden.npz"
DATA = "data"


def formats_of(contract: dict) -> list[Format]:
    """The formats that a contract names, as far as they are known here; of one that names none,
    which is older, the first three."""
    names = contract.get("formats", ("saved_model", "tflite", "onnx"))
    return [FORMATS[name] for name in names if name in FORMATS]


def titles(names: list[str]) -> str:
    """`SavedModel, TFLite and ONNX`, or `ONNX alone`; formats in the table's order."""
    *others, last = [row.title for row in FORMATS.values() if row.name in names]
    return f"{', '.join(others)} and {last}" if others else f"{last} alone"


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
