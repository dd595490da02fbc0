"""What a release consists of: the table of formats, and the names of all its files.

Adding a format is one row here and one module in `export/formats/`. Standard library only.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal

Runtime = Literal["tensorflow", "keras", "litert", "onnxruntime", "torch"]
Precision = Literal["float32", "float16", "dynamic_int8", "int8"]


@dataclasses.dataclass(frozen=True)
class Format:
    """One form in which a model is exported, verified, released and opened."""

    name: str
    """In verdicts, manifests and records of parity."""
    title: str
    """What people call it."""
    file: str
    """Its name among a model's exports; in a release too, unless it is a directory."""
    runtime: Runtime
    """What opens it, see export/verification/runtimes.py and serving/inference/."""
    package: str
    """What must be installed for that."""
    module: str
    """`export/formats/<module>.py` writes it."""
    precision: Precision = "float32"
    """Of its weights; dynamic_int8 computes with float32 activations, int8 with integer ones."""
    sources: tuple[str, ...] = ("keras", "torch")
    """Frameworks whose models have it."""
    from_torch: bool = False
    """PyTorch writes it by itself. Whatever it does not is made of a Keras twin, which a custom
    network has none of."""
    described: bool = False
    """Only of networks that are described by their layers: a custom one's own code would have to
    travel with it."""
    from_grey: bool = False
    """Only of grey models: it takes three channels, as on-device libraries hand images over."""
    for_gpu: bool = False
    """Meant for GPUs; on CPUs it is slower than float32, and its latency is not judged there."""
    directory: bool = False
    """A release is that directory itself, as TensorFlow Serving and Triton want it."""

    @property
    def optional(self) -> bool:
        """One that is not good enough is left out of the release, with the reason; a float32 form
        that disagrees with its source is a fault, and refuses it."""
        return self.precision != "float32"

    def in_release(self, release: Path) -> Path:
        """Where it lies in a release's directory."""
        return release if self.directory else release / self.file


def _tflite(name: str, title: str, file: str, precision: Precision) -> Format:
    return Format(name, title, file, "litert", "ai-edge-litert", "tflite", precision)


def _onnx(
    name: str, title: str, file: str, module: str, precision: Precision, for_gpu: bool = False
) -> Format:
    return Format(
        name, title, file, "onnxruntime", "onnxruntime", module, precision, from_torch=True,
        for_gpu=for_gpu,
    )  # fmt: skip


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "saved_model", "SavedModel", "saved_model", "tensorflow", "tensorflow", "saved_model",
            directory=True,
        ),
        _tflite("tflite", "TFLite", "model.tflite", "float32"),
        _tflite("tflite_float16", "TFLite float16", "model_float16.tflite", "float16"),
        _tflite(
            "tflite_dynamic_int8", "TFLite dynamic int8",
            "model_dynamic_int8.tflite", "dynamic_int8",
        ),
        _tflite("tflite_int8", "TFLite int8", "model_int8.tflite", "int8"),
        Format(
            "tflite_rgb", "TFLite, RGB in", "model_rgb.tflite", "litert", "ai-edge-litert",
            "tflite_rgb", from_grey=True,
        ),
        _onnx("onnx", "ONNX", "model.onnx", "onnx", "float32"),
        _onnx(
            "onnx_float16", "ONNX float16", "model_float16.onnx", "reduced_onnx", "float16",
            for_gpu=True,
        ),
        _onnx("onnx_int8", "ONNX int8", "model_int8.onnx", "reduced_onnx", "int8"),
        Format(
            "keras", "Keras", "model.keras", "keras", "keras", "keras_archive",
            sources=("keras",), described=True,
        ),
        Format(
            "safetensors", "safetensors", "model.safetensors", "torch", "torch", "safetensors_file",
            sources=("torch",), from_torch=True, described=True,
        ),
        Format(
            "torch_program", "PyTorch program", "model.pt2", "torch", "torch", "torch_program",
            sources=("torch",), from_torch=True,
        ),
    )
}  # fmt: skip
"""The formats by name, in the order in which they are made and listed; one that is made from
another stands behind it."""

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Of a signed release, over all its other files."""
UNLISTED = (MANIFEST, SIGNATURE)
"""What a manifest does not list."""
CONTRACT = "contract.json"
CONTRACT_IN_SAVED_MODEL = f"assets.extra/{CONTRACT}"
SAVED_MODEL_GRAPH = "saved_model.pb"
LABELS = "labels.txt"
GOLDEN = "golden.npz"
NEIGHBOURS = "neighbours.npz"
"""What the training images are to the network, see serving/inference/neighbours.py; only of
networks with a pretrained backbone, and not in older releases."""
MODEL_CARD = "README.md"
"""Where Hugging Face and people look for it."""
SBOM = "sbom.cdx.json"
"""CycloneDX, by the name that its tools know; older releases have none."""
DATA = "data"


def formats_of(manifest: dict) -> list[Format]:
    """The formats that a release's manifest names, as far as they are known here; of one that names
    none, which is older, the first three that there were."""
    names = manifest.get("formats", ("saved_model", "tflite", "onnx"))
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
