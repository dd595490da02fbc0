"""Requests of the Open Inference Protocol as a client sends them, and what their answers say.

Written from the specification, not with a server's own code: what both servers get are the same
bytes (github.com/kserve/open-inference-protocol: inference_rest.md, inference_grpc.md;
github.com/kserve/kserve: the binary tensor data extension).
"""

import dataclasses
import http.client
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

Kind = Literal["json", "binary", "grpc_raw", "grpc_typed"]
GRPC_KINDS: tuple[Kind, ...] = ("grpc_raw", "grpc_typed")
METHOD = "/inference.GRPCInferenceService/ModelInfer"

_HEADER_LENGTH = "Inference-Header-Content-Length"
_INPUT, _OUTPUT = "image", "probabilities"


@dataclasses.dataclass(frozen=True)
class Body:
    """What a client posts to `path`. A gRPC message has its five bytes in front of it."""

    kind: Kind
    path: str
    headers: dict[str, str]
    content: bytes


def request(kind: Kind, model: str, images: np.ndarray) -> Body:
    """The request for `images` uint8 (N, H, W, C) to the model named `model`."""
    tensor: dict[str, Any] = {"name": _INPUT, "shape": list(images.shape), "datatype": "UINT8"}
    path = f"/v2/models/{model}/infer"
    if kind == "json":
        content = json.dumps({"inputs": [tensor | {"data": images.ravel().tolist()}]}).encode()
        return Body(kind, path, {"Content-Type": "application/json"}, content)
    if kind == "binary":
        tensor["parameters"] = {"binary_data_size": images.nbytes}
        wanted = {"name": _OUTPUT, "parameters": {"binary_data": True}}
        header = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
        headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(header))}
        return Body(kind, path, headers, header + images.tobytes())
    message = _grpc_request(model, images, typed=kind == "grpc_typed")
    headers = {"Content-Type": "application/grpc", "TE": "trailers"}
    return Body(kind, METHOD, headers, b"\0" + len(message).to_bytes(4, "big") + message)


@dataclasses.dataclass(frozen=True)
class Answer:
    """`probabilities` float32 (N, classes), and the bytes of the answer's body."""

    probabilities: np.ndarray
    size: int


def ask(url: str, body: Body) -> Answer:
    """What the server at `url` (`http://HOST:PORT`, of its HTTP or its gRPC) answers. Raises
    ValueError where it refuses."""
    address = urllib.parse.urlsplit(url).netloc
    if body.kind in GRPC_KINDS:
        return _ask_grpc(address, body)
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("POST", body.path, body.content, body.headers)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"{url}{body.path} answered {response.status}: {content[:200]!r}.")
    probabilities = http_answer(content, response.getheader(_HEADER_LENGTH))
    return Answer(probabilities, len(content))


def _ask_grpc(address: str, body: Body) -> Answer:
    import grpc

    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(body.path)
        try:
            message = call(body.content[5:], timeout=60, wait_for_ready=True)
        except grpc.RpcError as error:
            reason = f"{error.code().name}, {error.details()}"
            raise ValueError(f"{address}{body.path} answered {reason}.") from error
    return Answer(grpc_answer(message), 5 + len(message))


def http_answer(content: bytes, header_length: str | None = None) -> np.ndarray:
    """float32 (N, classes) of an HTTP answer: JSON, or JSON of that length and bytes behind it."""
    end = len(content) if header_length is None else int(header_length)
    (output,) = json.loads(content[:end])["outputs"]
    if header_length is None:
        return np.array(output["data"], np.float32).reshape(output["shape"])
    return np.frombuffer(content[end:], "<f4").reshape(output["shape"])


def grpc_answer(message: bytes) -> np.ndarray:
    """float32 (N, classes) of a ModelInferResponse, its content raw or typed."""
    answer = _fields(message)
    output = _fields(answer[5][0])
    shape = list(_varints(output[3][0]))
    (content,) = answer.get(6) or _fields(output[5][0])[6]
    return np.frombuffer(content, "<f4").reshape(shape)


def _grpc_request(model: str, images: np.ndarray, typed: bool) -> bytes:
    """A ModelInferRequest: the pixels in raw_input_contents, or in contents.uint_contents."""
    tensor = _field(1, _INPUT.encode()) + _field(2, b"UINT8")
    tensor += _field(3, b"".join(map(_varint, images.shape)))
    if typed:
        pixels = b"".join(map(_varint, images.ravel().tolist()))
        return _field(1, model.encode()) + _field(5, tensor + _field(5, _field(4, pixels)))
    return _field(1, model.encode()) + _field(5, tensor) + _field(7, images.tobytes())


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of a string, of bytes, of a message or of packed numbers."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def _varints(content: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in content:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def _fields(message: bytes) -> dict[int, list[bytes]]:
    """The contents of a message's fields, by their numbers; those that are numbers are skipped."""
    found: dict[int, list[bytes]] = {}
    at = 0

    def number() -> int:
        nonlocal at
        start = at
        while message[at] >= 128:
            at += 1
        at += 1
        return next(_varints(message[start:at]))

    while at < len(message):
        tag = number()
        kind = tag & 7
        size = number() if kind in (0, 2) else {1: 8, 5: 4}[kind]
        if kind:
            found.setdefault(tag >> 3, []).append(message[at : at + size])
            at += size
    return found
