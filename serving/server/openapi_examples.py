"""Examples of requests and answers: of a model that is served, on one picture.

They are made by the functions that answer requests, so that they cannot drift from the answers.
"""

import io
from typing import Any

import numpy as np
import orjson
from PIL import Image

from serving.contract.image_spec import decode
from serving.inference.model import Model
from serving.server import classification, oip, oip_answers, tf_serving_rest
from serving.server.openapi_schemas import base64_text

_MOST_VALUES = 1024
"""Examples with more pixels or probabilities than this would not be read."""


def _png() -> bytes:
    """A small picture. Of any size, as files are fitted to the model's."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((8, 8)).save(file, "PNG")
    return file.getvalue()


_PICTURE = _png()


def likely(model: Model) -> np.ndarray:
    """An answer that could be."""
    row = np.full(len(model.labels), 0.1 / max(1, len(model.labels) - 1), np.float32)
    row[0] = 0.9 if len(model.labels) > 1 else 1
    return row[None]


def small(example: Any, model: Model | None) -> Any:
    """The example of `model`, unless it has too many classes to be read."""
    return example if model and len(model.labels) <= _MOST_VALUES else None


def _pixels(model: Model) -> np.ndarray | None:
    return decode(_PICTURE, model.spec)[None] if np.prod(model.spec.shape) <= _MOST_VALUES else None


def classified(model: Model | None) -> dict | None:
    """An answer of classify."""
    if model is None:
        return None
    classes = classification.labelled(model, likely(model), 3)[0]
    return {"model_name": model.name, "model_version": model.version, "classes": classes}


def inferred(model: Model | None) -> dict | None:
    """An answer of infer."""
    if model is None:
        return None
    classes = 0 if len(model.labels) <= _MOST_VALUES else 3
    asked = oip.Inference(identifier="1", classes=classes)
    return orjson.loads(oip_answers.answer(model, asked, likely(model))[0])


def infer_bodies(model: Model | None) -> dict:
    """Bodies of infer, by name."""
    if model is None:
        return {}
    text = base64_text(_PICTURE)
    file = {"name": oip.IMAGE_BYTES, "datatype": "BYTES", "shape": [1], "data": [text]}
    top = [{"name": model.output_name, "parameters": {"classification": 3}}]
    found = {
        "file": {"summary": "An encoded image, base64", "value": {"id": "1", "inputs": [file]}},
        "text": {
            "summary": "The most probable classes as text",
            "value": {"inputs": [file], "outputs": top},
        },
    }
    pixels = _pixels(model)
    if pixels is not None:
        tensor = {"name": model.input_name, "datatype": "UINT8", "shape": list(pixels.shape)}
        value = {"id": "1", "inputs": [tensor | {"data": pixels.ravel().tolist()}]}
        found["pixels"] = {"summary": "Pixels, row by row", "value": value}
    return found


def predict_bodies(model: Model | None) -> dict:
    """Bodies of predict, by name."""
    if model is None:
        return {}
    files = [{"b64": base64_text(_PICTURE)}]
    value: dict[str, Any] = {"signature_name": tf_serving_rest.SERVING_BYTES, "instances": files}
    found = {"file": {"summary": "An encoded image, base64", "value": value}}
    pixels = _pixels(model)
    if pixels is not None:
        value = {"instances": pixels.tolist()}
        found["pixels"] = {"summary": "Pixels, nested as the image", "value": value}
    return found
