"""Silent faults: files that still open, or nearly, and are not what they were.

Each spoils one file of a clean export, or of what it is verified with, by `rng` alone, and says
what it did. How the files of each format are read and written is in `artifact_files.py`.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from export.verification.held_out import GOLDEN_ANSWERS
from serving.contract.release_files import CONTRACT, FORMATS, files, sha256
from tests.helpers import artifact_files, graph_faults, weight_faults
from tests.helpers.fault_site import Rng, Site


@dataclasses.dataclass(frozen=True)
class Fault:
    """`spoil` does it; `gates` are those of which one must name it, "bundle" where what was
    verified has changed since, and `says` is in the refusal. `formats` have it."""

    name: str
    spoil: Callable[[Site, Rng], str]
    formats: tuple[str, ...]
    gates: tuple[str, ...]
    says: str = ""
    verified: bool = False
    """Whether the verification comes before it."""


def _labels_inside(site: Site, rng: Rng) -> str:
    contract = site.made.contract
    swapped = contract | {"labels": _swap(contract["labels"], rng)}
    artifact_files.write_contract(site.artifact, site.path, swapped)
    return "two labels swapped in the contract inside"


def _labels_beside(site: Site, rng: Rng) -> str:
    contract = site.made.contract
    text = json.dumps(contract | {"labels": _swap(contract["labels"], rng)}, sort_keys=True)
    (site.made.exports / CONTRACT).write_text(text + "\n")
    return "two labels swapped in contract.json"


def _labels_of_arrays(site: Site, rng: Rng) -> str:
    path = site.made.arrays / "labels.json"
    path.write_text(json.dumps(_swap(json.loads(path.read_text()), rng)))
    return "two labels of the images swapped"


def _swap(labels: list[str], rng: Rng) -> list[str]:
    one, two = rng.choice(len(labels), 2, replace=False)
    labels = list(labels)
    labels[one], labels[two] = labels[two], labels[one]
    return labels


def _stale(site: Site, rng: Rng) -> str:
    copy = shutil.copytree if FORMATS[site.artifact].directory else shutil.copyfile
    if FORMATS[site.artifact].directory:
        shutil.rmtree(site.path)
    copy(site.other.path(site.artifact), site.path)
    return "another run's file"


def _stale_with_contract(site: Site, rng: Rng) -> str:
    _stale(site, rng)
    artifact_files.write_contract(site.artifact, site.path, site.made.contract)
    return "another run's weights under this run's lineage"


def _precision_mixed_up(site: Site, rng: Rng) -> str:
    row = FORMATS[site.artifact]
    reduced = [r for r in FORMATS.values() if r.runtime == row.runtime and r.precision != "float32"]
    paths = {r.name: site.made.path(r.name) for r in reduced}
    others = [n for n, p in paths.items() if p.is_file() and sha256(p) != sha256(site.path)]
    if not others:
        raise LookupError(f"there is no other precision of {site.artifact}")
    other = str(rng.choice(others))
    shutil.copyfile(site.made.path(other), site.path)
    return f"{other} in its place"


def _some_file(site: Site, rng: Rng) -> Path:
    """Of a SavedModel one that holds numbers."""
    if not FORMATS[site.artifact].directory:
        return site.path
    return next(path for path in files(site.path) if ".data-" in path.name)


def _flipped(site: Site, rng: Rng) -> str:
    path = _some_file(site, rng)
    content = bytearray(path.read_bytes())
    place, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} flipped"


def _truncated(site: Site, rng: Rng) -> str:
    path = _some_file(site, rng)
    content = path.read_bytes()
    kept = int(rng.integers(1, len(content) * 9 // 10))
    path.write_bytes(content[:kept])
    return f"cut off after {kept} of {len(content)} bytes"


def _predictions(site: Site, rng: Rng) -> str:
    for path in site.made.predictions.glob("*.npz"):
        shutil.copyfile(site.other.predictions / path.name, path)
    return "another model's predictions"


def _golden(site: Site, rng: Rng) -> str:
    name = f"{GOLDEN_ANSWERS}/{site.artifact}.npy"
    answers = np.load(site.made.exports / name)
    np.save(site.made.exports / name, np.roll(answers, 1, axis=1))
    return "answers to the golden images of other classes"


def _size(site: Site, rng: Rng) -> str:
    arrays, spec = site.made.arrays, site.made.network.spec
    for path in arrays.glob("*/images-*.npy"):
        np.save(path, np.load(path)[:, 1:])
    smaller = dataclasses.replace(spec, height=spec.height - 1)
    (arrays / "image_spec.json").write_text(smaller.to_json())
    return "images one row lower"


ALL = tuple(FORMATS)
COLOURED = tuple(name for name, row in FORMATS.items() if not row.from_grey)
REDUCED = tuple(name for name, row in FORMATS.items() if row.optional)
FULL = tuple(name for name in ALL if name not in REDUCED)
ONNX = tuple(name for name in ALL if FORMATS[name].runtime == "onnxruntime")
TFLITE = tuple(name for name in ALL if FORMATS[name].runtime == "litert")
INT8 = tuple(name for name in ALL if FORMATS[name].precision == "int8")
FLOAT16 = tuple(name for name in ALL if FORMATS[name].precision == "float16")

_ANSWERS = ("max_difference", "mean_difference", "agreement", "accuracy_loss")
_DIFFERENCE = ("max_difference",)
_PARITY = ("parity",)
_BUNDLE = ("bundle",)
_SHA = "expected that of the verified"

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("classes swapped", weight_faults.classes_swapped, ALL, _ANSWERS),
        Fault("biases swapped", weight_faults.biases_swapped, FULL, _DIFFERENCE),
        Fault("layer zeroed", weight_faults.layer_zeroed, ALL, _ANSWERS),
        Fault("weight changed", weight_faults.weight_changed, FULL, _DIFFERENCE),
        Fault("channels transposed", weight_faults.channels_transposed, COLOURED, _ANSWERS),
        Fault("float16 saturated", weight_faults.saturated, FLOAT16, ("parity", *_ANSWERS)),
        Fault("calibration changed", weight_faults.scale_changed, INT8, ("parity", *_ANSWERS)),
        Fault("temperature not applied", weight_faults.temperature(False), FULL, _DIFFERENCE),
        Fault("temperature applied twice", weight_faults.temperature(True), FULL, _DIFFERENCE),
        Fault("labels swapped inside", _labels_inside, ALL, _PARITY, "labels in its contract"),
        Fault("labels of the images swapped", _labels_of_arrays, FULL, _PARITY, "labels"),
        Fault("images of another size", _size, FULL, _PARITY, "its input is"),
        Fault("predictions of another model", _predictions, FULL, _ANSWERS),
        Fault("file of another run", _stale, ALL, _PARITY, "lineage"),
        Fault("weights of another run", _stale_with_contract, ALL, _ANSWERS),
        Fault("precision mixed up", _precision_mixed_up, ("onnx", "tflite"), _DIFFERENCE),
        Fault("file cut off", _truncated, ALL, _PARITY),
        Fault("softmax dropped", graph_faults.without_softmax, ONNX + TFLITE,
              ("parity", "max_difference")),
        Fault("opset edited", graph_faults.other_opset, ONNX, _PARITY),
        Fault("batch fixed", graph_faults.fixed_batch, ONNX + TFLITE, _PARITY, "its input is"),
        Fault("image shifted", graph_faults.shifted, ONNX, _ANSWERS),
        Fault("normalisation dropped", graph_faults.not_normalised, FULL + ("onnx_float16",),
              _ANSWERS),
        Fault("other crop", graph_faults.other_crop, ("saved_model",), _ANSWERS),
        Fault("byte flipped afterwards", _flipped, ALL, _BUNDLE, _SHA, True),
        Fault("cut off afterwards", _truncated, ALL, _BUNDLE, _SHA, True),
        Fault("file of another run afterwards", _stale, ALL, _BUNDLE, "expected|different", True),
        Fault("labels swapped afterwards", _labels_beside, ALL, _BUNDLE, "contract", True),
        Fault("golden answers of others afterwards", _golden, ALL, _BUNDLE, "golden", True),
        Fault("predictions of another afterwards", _predictions, FULL, _BUNDLE, "golden", True),
    )
}  # fmt: skip
"""By name."""
