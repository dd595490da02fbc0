"""ONNX files made by hand, with a contract inside, and what `parity` compares them with."""

import json
from pathlib import Path

import onnx

from components.data.arrays import ImageArrays
from export.verification import parity
from export.verification.held_out import HeldOut
from tests.helpers.export_data import digits_arrays, write_predictions
from tests.helpers.serving_fixtures import contract, expected, onnx_bytes

LINEAGE = contract()["lineage"]


def write_onnx(path: Path, content: bytes, described: dict) -> Path:
    """The model `content` with the contract `described` in it, as exports have it, at `path`."""
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {"contract": json.dumps(described)})
    onnx.save(model, path)
    return path


def hand_made(directory: Path) -> Path:
    """Nearest-centroid digits as `model.onnx`, held-out images (60 of test, 40 of val) in `arrays`,
    and its `predictions` of them."""
    arrays = digits_arrays(directory / "arrays", test=60, val=40)
    write_predictions(directory / "predictions", arrays, expected)
    write_onnx(directory / "model.onnx", onnx_bytes(), contract())
    return directory


def arguments(made: Path, **changes) -> parity.ParityArgs:
    """Those of a verification of `hand_made` files."""
    values = {
        "artifact": "onnx",
        "path": made / "model.onnx",
        "arrays": made / "arrays",
        "predictions": made / "predictions",
        "images": 70,
        "batches": (1, 7),
        "lineage": LINEAGE,
        "output": made / "records.json",
    }
    return parity.ParityArgs(**values | changes)


def held(made: Path, least: int = 100) -> HeldOut:
    """The held-out images of `hand_made` files."""
    return HeldOut(ImageArrays(made / "arrays"), made / "predictions", least)
