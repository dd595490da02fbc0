"""TensorFlow Serving's REST interface: /v1/models/MODEL[/versions/N or /labels/L][:predict].

Specification: tensorflow.org/tfx/serving/api_rest. NaN, which TensorFlow Serving writes bare, is
null here: JSON does not know it.
"""

from typing import Any

import numpy as np
import orjson

from serving.inference.errors import InvalidRequest, NotFound, NotOffered
from serving.inference.model import Model
from serving.server import content, json_body
from serving.server.dataplane import Dataplane, Served, Version
from serving.server.json_body import kind
from serving.server.messages import Request, Response
from serving.server.oip import IMAGE_BYTES, flat, most_values, pixels
from serving.server.routes import Route, route

PROTOCOL = "tf_serving_rest"
SERVING_DEFAULT, SERVING_BYTES = "serving_default", "serving_bytes"
_LARGE = 128 * 1024
"""Bodies over this many bytes are read in a thread: the event loop must go on."""


def routes(dataplane: Dataplane) -> list[Route]:
    """Everything below /v1."""
    api = _Api(dataplane)
    which = r"(?i:/versions)/(?P<version>\d+)|(?i:/labels)/(?P<label>[^/:]+)"
    model = f"(?i:/v1/models)/(?P<name>[^/:]+)(?:{which})?"
    return [
        route(f"{model}(?i::predict)", PROTOCOL, post=api.predict, get=_malformed),
        route(f"{model}:(?:classify|regress)", PROTOCOL, post=_not_offered, get=_malformed),
        route(f"{model}(?i:/metadata)", PROTOCOL, get=api.metadata, post=_malformed),
        route(f"{model}/?", PROTOCOL, get=api.status, post=_malformed),
        route("(?i:/v1/models)/?", PROTOCOL, get=_nameless, post=_malformed),
        route("/v1/.*", PROTOCOL, get=_malformed, post=_malformed),
    ]


class _Api:
    def __init__(self, dataplane: Dataplane):
        self._dataplane = dataplane

    async def predict(
        self, request: Request, name: str, version: str | None, label: str | None
    ) -> Response:
        def read() -> tuple[Version, bool, np.ndarray | list[bytes]]:
            return self._read(request, name, version, label)

        if len(request.body) > _LARGE or "content-encoding" in request.headers:
            found, rows, given = await self._dataplane.parsed(read)
        else:
            found, rows, given = read()
        if isinstance(given, list):
            probabilities = await self._dataplane.infer_encoded(found, given)
        else:
            probabilities = await self._dataplane.infer(found, given)
        answer = {"predictions" if rows else "outputs": np.ascontiguousarray(probabilities)}
        response = Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
        return content.packed(request, response)

    def _read(
        self, request: Request, name: str, version: str | None, label: str | None
    ) -> tuple[Version, bool, np.ndarray | list[bytes]]:
        """(what answers, whether the body has rows, the pixels or the encoded images)."""
        text = content.unpacked(request, self._dataplane.limits.body_bytes)
        served = self._dataplane.served.get(name)
        most = most_values(served.default.model) if served else json_body.MOST_VALUES
        body = json_body.parse(text, most)
        signature = body.get("signature_name", SERVING_DEFAULT)
        if not isinstance(signature, str):
            raise InvalidRequest("'signature_name' key must be a string value.")
        found = request.version = self._find(name, version, label)
        if signature not in (SERVING_DEFAULT, SERVING_BYTES):
            raise InvalidRequest(
                f'Serving signature name: "{signature[:100]}" not found in signature def;'
                f" there are {SERVING_DEFAULT} and {SERVING_BYTES}."
            )
        rows = "instances" in body
        if rows == ("inputs" in body):
            if rows:
                raise InvalidRequest(
                    "Not formatted correctly expecting only one of 'inputs' or 'instances' keys"
                    " to exist"
                )
            raise InvalidRequest("Missing 'inputs' or 'instances' key")
        if signature == SERVING_BYTES:
            return found, rows, _files(_values(body, IMAGE_BYTES, rows))
        values = _values(body, found.model.input_name, rows)
        return found, rows, _images(found.model, values, text)

    async def status(
        self, request: Request, name: str, version: str | None, label: str | None
    ) -> Response:
        _check_version(version)
        served = self._served(name)
        if label is not None:
            version = self._find(name, None, label).model.version
        if version is not None and version not in served.versions:
            raise NotFound(f"Could not find version {version[:20]} of model {served.name}")
        wanted = [version] if version else sorted(served.versions, key=int, reverse=True)
        status = {"error_code": "OK", "error_message": ""}
        rows = [{"version": number, "state": "AVAILABLE", "status": status} for number in wanted]
        return Response(orjson.dumps({"model_version_status": rows}))

    async def metadata(
        self, request: Request, name: str, version: str | None, label: str | None
    ) -> Response:
        found = request.version = self._find(name, version, label)
        return Response(orjson.dumps(metadata(found.model)))

    def _find(self, name: str, version: str | None, label: str | None) -> Version:
        _check_version(version)
        return self._dataplane.find(name, version, label)

    def _served(self, name: str) -> Served:
        try:
            return self._dataplane.served_model(name)
        except NotFound as error:
            raise NotFound(f"Could not find any versions of model {name[:100]}") from error


def metadata(model: Model) -> dict:
    """GetModelMetadataResponse as protobuf's JSON."""
    spec = {"name": model.name, "signature_name": "", "version": model.version}
    defined = {"signature_def": {"signature_def": signatures(model)}}
    return {"model_spec": spec, "metadata": defined}


def signatures(model: Model) -> dict:
    """SignatureDefMap.signature_def as protobuf's JSON."""
    encoded = _tensor(IMAGE_BYTES, "DT_STRING", (-1,))
    pixels = _tensor(model.input_name, "DT_UINT8", model.input_shape)
    output = _tensor(model.output_name, "DT_FLOAT", model.output_shape)
    return {
        name: {
            "inputs": {taken["name"].removesuffix(":0"): taken},
            "outputs": {model.output_name: output},
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
        for name, taken in ((SERVING_DEFAULT, pixels), (SERVING_BYTES, encoded))
    }


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> dict:
    dim = [{"size": str(size), "name": ""} for size in shape]
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dim, "unknown_rank": False},
        "name": f"{name}:0",
    }


def _values(body: dict, name: str, rows: bool) -> list:
    """The one input as a list along the batch."""
    if not rows:
        values = body["inputs"]
        if isinstance(values, dict):
            if name not in values:
                raise InvalidRequest(f"Missing named input: {name} in 'inputs' object.")
            values = values[name]
        if not isinstance(values, list):
            raise InvalidRequest(f"'inputs' holds {kind(values)}, expected a list of {name}.")
        return values
    instances = body["instances"]
    if not isinstance(instances, list):
        raise InvalidRequest("Expecting 'instances' to be an list/array")
    if not instances:
        raise InvalidRequest("No values in 'instances' array")
    named = [isinstance(entry, dict) and entry.keys() != {"b64"} for entry in instances]
    for number, (entry, is_named) in enumerate(zip(instances, named)):
        if is_named != named[0]:
            expected = "object" if named[0] else "value/list"
            raise InvalidRequest(
                f"Expecting {expected} but got {kind(entry)} at item {number} of input list"
            )
        if is_named and entry.keys() != {name}:
            raise InvalidRequest(
                f"Failed to process element: {number} of 'instances' list: keys must be equal to:"
                f" {name}"
            )
    return [entry[name] for entry in instances] if named[0] else instances


def _images(model: Model, values: list, text: bytes) -> np.ndarray:
    if any(isinstance(value, (dict, str)) for value in values):
        raise InvalidRequest(
            f"{model.input_name} holds {kind(values[0])}, expected whole numbers from 0 to 255; for"
            f' encoded images name the signature: "signature_name": "{SERVING_BYTES}".'
        )
    shape = [len(values), *model.spec.shape]
    model.check_shape(tuple(shape))
    if not isinstance(values[0], list):
        raise InvalidRequest(
            f"{model.input_name} holds {kind(values[0])}, expected images nested as {shape[1:]}."
        )
    data = pixels(model.input_name, flat(model.input_name, values, shape), text)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _files(values: list) -> list[bytes]:
    files = []
    for value in values:
        if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
            files.append(json_body.base64_bytes(IMAGE_BYTES, value["b64"]))
        elif isinstance(value, str):
            files.append(value.encode())
        else:
            raise InvalidRequest(
                f'{IMAGE_BYTES} holds {kind(value)}, expected {{"b64": "..."}} of a file each.'
            )
    return files


async def _malformed(request: Request, **parts: Any) -> Response:
    raise InvalidRequest(f"Malformed request: {request.method} {request.path[:200]}")


async def _nameless(request: Request) -> Response:
    raise InvalidRequest("Missing model name in request.")


def _check_version(version: str | None) -> None:
    if version is not None and len(version) > 18:
        raise InvalidRequest(f"Failed to convert version: {version[:30]} to numeric.")


async def _not_offered(request: Request, version: str | None, **parts: Any) -> Response:
    _check_version(version)
    raise NotOffered("classify and regress are not offered: use :predict.")
