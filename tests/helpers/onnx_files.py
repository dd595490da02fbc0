"""ONNX files made by hand, with a contract inside."""

import json
from pathlib import Path

import onnx


def write_onnx(path: Path, content: bytes, contract: dict) -> Path:
    """The model `content` with `contract` in it, as exports have it, at `path`."""
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {"contract": json.dumps(contract)})
    onnx.save(model, path)
    return path
