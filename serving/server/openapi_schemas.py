"""What requests and answers may hold: the schemas of the OpenAPI document.

Those of answers are strict, so that a test sees whatever else an answer holds. Those of requests
allow members that the server would ignore.
"""

import base64
import math
from typing import Any

from serving.inference.model import Model
from serving.server import tf_serving_rest
from serving.server.classification import MOST_CLASSES
from serving.server.oip import IMAGE_BYTES

_STRING: dict[str, Any] = {"type": "string"}
_BOOLEAN: dict[str, Any] = {"type": "boolean"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_NUMBER: dict[str, Any] = {"type": "number"}
_PIXEL = {"type": "integer", "minimum": 0, "maximum": 255}
_BASE64 = {
    "type": "string",
    "format": "byte",
    "description": "base64 of an image file",
}


def ref(name: str, kind: str = "schemas") -> dict:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def base64_text(data: bytes) -> str:
    """As JSON carries bytes."""
    return base64.b64encode(data).decode()


def schemas(models: list[Model]) -> dict:
    """By name, for these models."""
    return _described_schemas() | _open_inference(models) | _tf_serving(models)


def _open_inference(models: list[Model]) -> dict:
    most = max([model.max_batch for model in models], default=1)
    names = _one([model.output_name for model in models])
    return {
        "File": {"description": "The file as it is."},
        "Bytes": {"description": "See the description above."},
        "InferRequest": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": _or_null(_STRING) | {"description": "Comes back with the answer."},
                "inputs": _list({"anyOf": [ref("Pixels"), ref("Files")]}, 1, 1),
                "outputs": _or_null(_list(ref("Output"), 0, 1)),
                "parameters": {
                    "type": ["object", "null"],
                    "properties": {
                        "binary_data_output": _or_null(_BOOLEAN)
                        | {"description": "Bytes behind the JSON, where `outputs` is not given."}
                    },
                },
            },
        },
        "Pixels": _either([_pixels(model) for model in models])
        | {"description": "Pixels, flat in row-major order or nested as the shape."},
        "Files": {
            "description": "Encoded images.",
            "type": "object",
            "required": ["name", "datatype", "shape", "data"],
            "properties": {
                "name": {"const": IMAGE_BYTES},
                "datatype": {"const": "BYTES"},
                "shape": _list({"type": "integer", "minimum": 1, "maximum": most}, 1, 1),
                "data": _list(_BASE64, 1, most),
            },
        },
        "Output": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"enum": names} if names else _STRING,
                "parameters": {
                    "type": ["object", "null"],
                    "properties": {
                        "classification": {
                            "description": "How many classes, as text.",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "maximum": MOST_CLASSES,
                        },
                        "binary_data": _or_null(_BOOLEAN)
                        | {"description": "Bytes behind the JSON."},
                    },
                },
            },
        },
        "InferResponse": _object(
            {
                "model_name": _STRING,
                "model_version": _STRING,
                "id": _STRING,
                "outputs": _list(
                    _object(
                        {
                            "name": {"enum": names} if names else _STRING,
                            "datatype": {"enum": ["FP32", "BYTES"]},
                            "shape": _list(_INTEGER, 2, 2),
                            "data": {"type": "array", "items": {"type": ["number", "string"]}},
                        }
                    ),
                    1,
                    1,
                ),
            },
            optional=["id"],
        ),
    }


def _pixels(model: Model) -> dict:
    size = math.prod(model.spec.shape)
    image = _image(model)
    flat = _list(_PIXEL, size, size * model.max_batch)
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": model.input_name},
            "datatype": {"const": "UINT8"},
            "shape": {
                "type": "array",
                "prefixItems": [
                    {"type": "integer", "minimum": 1, "maximum": model.max_batch},
                    *({"const": side} for side in model.spec.shape),
                ],
                "minItems": 4,
                "maxItems": 4,
            },
            "data": {"anyOf": [flat, _list(image, 1, model.max_batch)]},
        },
    }


def _image(model: Model) -> dict:
    """An image as nested lists."""
    schema: dict[str, Any] = _PIXEL
    for side in reversed(model.spec.shape):
        schema = _list(schema, side, side)
    return schema


def _tf_serving(models: list[Model]) -> dict:
    most = max([model.max_batch for model in models], default=1)
    pixels, named, inputs = [], [], []
    for model in models:
        image, name = _image(model), model.input_name
        pixels.append(_list(image, 1, model.max_batch))
        named.append(_list(_object({name: image}), 1, model.max_batch))
        inputs.append({"type": "object", "required": [name], "properties": {name: pixels[-1]}})
    file = _object({"b64": _BASE64})
    files = _list(file, 1, most)
    columns = {
        "type": "object",
        "required": [IMAGE_BYTES],
        "properties": {IMAGE_BYTES: files},
    }
    rows = _list(_object({IMAGE_BYTES: file}), 1, most)
    return {
        "PredictRequest": {
            "oneOf": [
                _predict("Pixels of each image", "instances", [*pixels, *named], None),
                _predict("Pixels of all images", "inputs", [*pixels, *inputs], None),
                _predict("Files", "instances", [files, rows], tf_serving_rest.SERVING_BYTES),
                _predict("Files", "inputs", [files, columns], tf_serving_rest.SERVING_BYTES),
            ]
        },
        "PredictResponse": {
            "oneOf": [
                _object({key: {"type": "array", "items": {"type": "array", "items": _NUMBER}}})
                for key in ("predictions", "outputs")
            ]
        },
        "TFStatus": _object(
            {
                "model_version_status": _list(
                    _object(
                        {
                            "version": _STRING,
                            "state": _STRING,
                            "status": _object({"error_code": _STRING, "error_message": _STRING}),
                        }
                    )
                )
            }
        ),
        "TFMetadata": _object(
            {
                "model_spec": _object(
                    {"name": _STRING, "signature_name": _STRING, "version": _STRING}
                ),
                "metadata": _object(
                    {
                        "signature_def": _object(
                            {
                                "signature_def": {
                                    "type": "object",
                                    "required": [
                                        tf_serving_rest.SERVING_DEFAULT,
                                        tf_serving_rest.SERVING_BYTES,
                                    ],
                                    "additionalProperties": {"type": "object"},
                                }
                            }
                        )
                    }
                ),
            }
        ),
    }


def _predict(title: str, key: str, values: list[dict], signature: str | None) -> dict:
    """A form of predict's body; pixels are what a body without a signature's name holds."""
    name = signature or tf_serving_rest.SERVING_DEFAULT
    return {
        "title": title,
        "type": "object",
        "required": [key, *(["signature_name"] if signature else [])],
        "properties": {
            "signature_name": {"const": name},
            key: _either(values),
            "inputs" if key == "instances" else "instances": False,
        },
    }


def _described_schemas() -> dict:
    """Of what is said about the server and its models."""
    tensor = _object(
        {"name": _STRING, "datatype": _STRING, "shape": {"type": "array", "items": _INTEGER}}
    )
    duration = _object({"count": _INTEGER, "ns": _INTEGER})
    stages = ("compute_input", "compute_infer", "compute_output")
    durations = ("success", "fail", "queue", *stages, "cache_hit", "cache_miss")
    return {
        "Error": _object({"error": _STRING | {"description": "What is wrong, for people."}}),
        "Live": _object({"live": _BOOLEAN}),
        "Ready": _object({"live": _BOOLEAN, "ready": _BOOLEAN}),
        "Server": _object({"name": _STRING, "version": _STRING, "extensions": _list(_STRING)}),
        "Models": _object({"models": _list(_STRING)}),
        "ModelReady": _object({"name": _STRING, "ready": _BOOLEAN}),
        "Metadata": _object(
            {
                "name": _STRING,
                "versions": _list(_STRING),
                "platform": _STRING,
                "inputs": _list(tensor, 1, 1),
                "outputs": _list(tensor, 1, 1),
            }
        ),
        "Config": {
            "type": "object",
            "required": ["name", "platform", "backend", "max_batch_size", "input", "output"],
            "properties": {
                "name": _STRING,
                "platform": _STRING,
                "backend": _STRING,
                "max_batch_size": _INTEGER,
                "input": _list({"type": "object"}, 1, 1),
                "output": _list({"type": "object"}, 1, 1),
            },
        },
        "Statistics": _object(
            {
                "model_stats": _list(
                    _object(
                        {
                            "name": _STRING,
                            "version": _STRING,
                            "last_inference": _INTEGER
                            | {"description": "Milliseconds since 1970; 0 before the first."},
                            "inference_count": _INTEGER | {"description": "Images."},
                            "execution_count": _INTEGER | {"description": "Batches."},
                            "inference_stats": _object(dict.fromkeys(durations, duration)),
                            "batch_stats": _list(
                                _object({"batch_size": _INTEGER, **dict.fromkeys(stages, duration)})
                            ),
                            "response_stats": {"type": "object"},
                            "memory_usage": _list({"type": "object"}),
                        }
                    )
                )
            }
        ),
        "Classification": _object(
            {
                "model_name": _STRING,
                "model_version": _STRING,
                "classes": _list(
                    _object({"label": _STRING, "index": _INTEGER, "probability": _NUMBER}), 1
                ),
            }
        ),
        "IndexRequest": {
            "type": "object",
            "properties": {"ready": _or_null(_BOOLEAN) | {"description": "Only what is served."}},
        },
        "Index": _list(
            _object(
                {
                    "name": _STRING,
                    "version": _STRING,
                    "state": {"enum": ["READY", "UNAVAILABLE"]},
                    "reason": _STRING,
                }
            )
        ),
        "LoadRequest": {
            "type": "object",
            "properties": {
                "parameters": {
                    "type": ["object", "null"],
                    "maxProperties": 0,
                    "description": "None: what is loaded is the store's release as it is.",
                }
            },
        },
        "UnloadRequest": {"type": "object", "description": "Nothing that would be in it counts."},
        "Load": _object({"name": _STRING, "load": {"const": True}}),
        "Unload": _object({"name": _STRING, "unload": {"const": True}}),
    }


def _object(properties: dict, optional: list[str] | None = None) -> dict:
    """Exactly these members."""
    return {
        "type": "object",
        "required": [name for name in properties if name not in (optional or ())],
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: dict, least: int = 0, most: int | None = None) -> dict:
    schema: dict[str, Any] = {"type": "array", "items": items}
    if least:
        schema["minItems"] = least
    return schema if most is None else schema | {"maxItems": most}


def _or_null(schema: dict) -> dict:
    """Null counts as left out, as it does in protobuf's JSON."""
    return schema | {"type": [schema["type"], "null"]}


def _either(choices: list[dict]) -> dict:
    """What fits one of them; models of one shape share a choice."""
    different = _one(choices)
    if not different:
        return {}
    return different[0] if len(different) == 1 else {"anyOf": different}


def _one(values: list) -> list:
    """Each value once."""
    return [value for number, value in enumerate(values) if value not in values[:number]]
