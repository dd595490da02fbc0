"""Requests that no server should answer with anything but a refusal, made at random from a seed.

Of a server with the model `digits` (uint8, N x 8 x 8 x 1) whose bodies may have 1 MiB.
"""

import base64
import functools
import gzip
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.helpers import hostile_files
from tests.helpers.raw_http import message

MOST = 2**20
INFER = "/v2/models/digits/infer"
CLASSIFY = "/v2/models/digits/classify"
PREDICT = "/v1/models/digits:predict"
_LENGTH = "Inference-Header-Content-Length"


class Bad(NamedTuple):
    """`data` is sent on a connection of its own. `statuses`: what may be answered; `before`: how
    many good requests come first in it, `after`: how many follow."""

    name: str
    data: bytes
    statuses: tuple[int, ...] = (400,)
    before: int = 0
    after: int = 0


def good() -> bytes:
    """The body of one image whose answer is always the same."""
    return json.dumps(request()).encode()


def request(**changes: Any) -> dict:
    """The JSON of a good request, with changes of its only input; None takes a field away."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1]}
    tensor |= {"data": [(7 * i) % 256 for i in range(64)]} | changes
    return {"id": "7", "inputs": [{k: v for k, v in tensor.items() if v is not None}]}


GOOD = message(INFER, "POST", good())


def bad_requests(seed: int, count: int) -> Iterator[Bad]:
    """`count` of them, of every family in turn."""
    rng = random.Random(seed)
    for number in range(count):
        family = _FAMILIES[number % len(_FAMILIES)]
        made = family(rng)
        yield made._replace(name=f"{number} {family.__name__.strip('_')}: {made.name}")


def _post(body: bytes, target: str = INFER, **headers: str) -> bytes:
    return message(target, "POST", body, **headers)


def _json(value: Any, **headers: str) -> bytes:
    return _post(json.dumps(value).encode(), **headers)


def _syntax(rng: random.Random) -> Bad:
    """What is not HTTP/1.1 at all."""
    line, host = b"GET /v2 HTTP/1.1\r\n", b"Host: x\r\n"
    noise = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 400)))
    junk = bytes(rng.choice(b"abcXYZ019-_!") for _ in range(rng.randrange(1, 60)))
    cases: list[tuple[str, bytes, tuple[int, ...]]] = [
        ("noise", b"\x01" + noise, (400,)),
        ("a word", junk.lower() + b"\r\n\r\n", (400,)),
        ("unknown method", b"BREW /v2 HTTP/1.1\r\n" + host + b"\r\n", (400,)),
        ("small letters", b"get /v2 HTTP/1.1\r\n" + host + b"\r\n", (400,)),
        ("version", b"GET /v2 HTTP/%d.%d\r\n" % (rng.randrange(2, 9), rng.randrange(9)), (400,)),
        ("HTTP/0.9", b"GET /v2\r\n\r\n", (400,)),
        ("HTTP/2.0", b"GET /v2 HTTP/2.0\r\n" + host + b"\r\n", (400,)),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise, (400,)),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", (400,)),
        ("bare LF", b"GET /v2 HTTP/1.1\nHost: x\n\n", (400,)),
        ("NUL in a header", line + host + b"A: \0" + junk + b"\r\n\r\n", (400,)),
        ("control in a name", line + host + b"A\x07B: 1\r\n\r\n", (400,)),
        ("space before colon", line + b"Host : x\r\n\r\n", (400,)),
        ("folded header", line + host + b"A: b\r\n c\r\n\r\n", (400,)),
        ("no colon", line + host + junk + b"\r\n\r\n", (400,)),
        ("no name", line + host + b": " + junk + b"\r\n\r\n", (400,)),
        ("no host", line + b"A: " + junk + b"\r\n\r\n", (400,)),
        ("two hosts", line + host + host + b"\r\n", (400,)),
        ("many headers", line + host + b"".join(b"a%d: b\r\n" % i for i in range(200)), (431,)),
        ("long header", line + host + b"A: " + b"b" * rng.randrange(70_000, 200_000), (431,)),
        ("long name", line + host + b"b" * rng.randrange(70_000, 200_000), (431,)),
        ("long path", b"GET /" + b"a" * rng.randrange(70_000, 200_000), (431,)),
        ("raw byte in path", b"GET /v2/\x80 HTTP/1.1\r\n" + host + b"\r\n", (400,)),
        ("space in path", b"GET /v2 /models HTTP/1.1\r\n" + host + b"\r\n", (400,)),
        ("CONNECT", b"CONNECT x:80 HTTP/1.1\r\n" + host + b"\r\n", (400,)),
        ("cut line", line[: rng.randrange(1, len(line))], (400,)),
        ("cut headers", line + host[: rng.randrange(1, len(host))], (400,)),
    ]
    return Bad(*rng.choice(cases))


def _framing(rng: random.Random) -> Bad:
    """Bodies whose length is wrong, unclear, or too much."""
    start, body = b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: x\r\n", good()
    length, chunked = b"Content-Length: %d\r\n" % len(body), b"Transfer-Encoding: chunked\r\n"
    huge = b"%d" % rng.choice([MOST + 1, 10**9, 2**31, 2**63 - 1])
    size = rng.choice([b"xyz", b"-1", b"+5", b"0x10", b"", b" ", b"F" * 17, b"5 5"])
    value = rng.choice([b"-1", b"+64", b"0x40", b"6,6", b"", b"1e3", b"9" * 30, b"12 34"])
    coding = rng.choice([b"gzip", b"gzip, chunked", b"chunked, chunked", b"deflate, chunked"])
    leave = b"Expect: 100-continue\r\n"
    piece = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    cases: list[tuple[str, bytes, tuple[int, ...]]] = [
        ("length", start + b"Content-Length: " + value + b"\r\n\r\n" + body, (400,)),
        ("two lengths", start + length + length + b"\r\n" + body, (400,)),
        ("other length", start + length + b"Content-Length: 3\r\n\r\n" + body, (400,)),
        ("length and chunks", start + length + chunked + b"\r\n" + body, (400,)),
        ("chunks and length", start + chunked + length + b"\r\n" + body, (400,)),
        ("coding", start + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n", (400, 501)),
        ("chunk size", start + chunked + b"\r\n" + size + b"\r\nabc\r\n0\r\n\r\n", (400,)),
        ("chunk end", start + chunked + b"\r\n3\r\nabcdef\r\n0\r\n\r\n", (400,)),
        ("chunk cut", start + chunked + b"\r\n40\r\n" + body[: rng.randrange(64)], (400,)),
        ("no last chunk", start + chunked + b"\r\n3\r\n{  \r\n", (400,)),
        ("body cut", start + length + b"\r\n" + body[: rng.randrange(len(body))], (400,)),
        ("too long", start + b"Content-Length: " + huge + b"\r\n\r\n" + body, (413,)),
        ("too long in chunks", start + chunked + b"\r\n" + piece * 40, (413,)),
        ("trailer", start + chunked + b"\r\n3\r\n{ \n\r\n0\r\nA: b\r\n\r\n", (400,)),
        ("bad trailer", start + chunked + b"\r\n3\r\n{ \n\r\n0\r\n\0\r\n\r\n", (400,)),
        ("long trailer", start + chunked + b"\r\n0\r\nA: " + b"b" * 200_000, (400, 431)),
        ("expects", start + length + b"Expect: miracles\r\n\r\n" + body, (417,)),
        ("expects more", start + b"Content-Length: " + huge + b"\r\n" + leave + b"\r\n", (413,)),
    ]  # fmt: skip
    return Bad(*rng.choice(cases))


def _not_json(rng: random.Random) -> Bad:
    """Bodies that are not the JSON they should be."""
    body, target = good(), rng.choice([INFER, PREDICT])
    deep = rng.randrange(65, 100_000)
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    where = rng.randrange(1, len(body) - 1)
    text = rng.choice(
        [
            b"",
            b" \n",
            b"null",
            b"true",
            b"7",
            b'"inputs"',
            b"[]",
            b"{}",
            b"{'inputs': []}",
            body[:where],
            body + rng.choice([b"}", b"x", b"{}", b"\0"]),
            b"\xef\xbb\xbf" + body,
            body.decode().encode("utf-16"),
            body.replace(b'"id"', b'"\xff"'),
            body.replace(b'"7"', b'"\\ud800"'),
            body.replace(b'"7"', b'"\n"'),
            body.replace(b"[0,", b"[0,,"),
            body.replace(b"[0,", rng.choice([b"[NaN,", b"[Infinity,", b"[-Infinity,", b"[00,"])),
            body.replace(b"[0,", b"[1e999,"),
            body.replace(b"[0,", b"[" + b"9" * rng.randrange(20, 9000) + b","),
            body.replace(b"{", b"{/* */", 1),
            opening * deep,
            opening * deep + b"1" + closing * deep,
            b'{"inputs":' + opening * deep + b"1" + closing * deep + b"}",
            bytes(rng.randrange(256) for _ in range(100)),
        ]
    )
    return Bad(repr(text[:30]), _post(text[:MOST], target))


def _tensor(rng: random.Random) -> Bad:
    """JSON that does not say what the model takes."""
    odd = [None, True, 0, -1, 1.5, "x", [], {}, [[]], [None], "\0", 10**15, "FP32", ["image"]]
    row = [0] * 64
    changes = rng.choice(
        [
            {"name": rng.choice([*odd, "Image", "image ", "probabilities", "i" * 100_000])},
            {"datatype": rng.choice([*odd, "INT8", "uint8", "FP16", "BOOL", "BYTES", "UINT16"])},
            {"shape": rng.choice(odd)},
            {"shape": [1, 8, 8]},
            {"shape": [1, 8, 8, 1, 1]},
            {"shape": [1, rng.choice([-8, 0, 7, 9, 10**9, 2**62, 8.0, "8", None, True]), 8, 1]},
            {"shape": [rng.choice([0, -1, 2, 64, "1", 1.0, True, None, [1]]), 8, 8, 1]},
            {"shape": [0] * rng.randrange(5, 50_000)},
            {"data": rng.choice([*odd[1:], {"0": 1}, "A" * 64])},
            {"data": row[: rng.randrange(1, 64)]},
            {"data": row * 2},
            {"data": [*row[1:], rng.choice([-1, 256, 10**30, 0.5, 1.0, 1e300, "1", True, None])]},
            {"data": [*row[1:], rng.choice([[], [1], {}, [[1]]])]},
            {"data": [[row]]},
            {"data": [[[[0]] * 8] * 7 + [[[0]] * 9]]},
            {"data": [[[[0]] * 8] * 8, 0]},
            {"data": None},
            {"parameters": rng.choice([1, "x", [], True])},
            {"parameters": {"binary_data_size": 64}},
            {"parameters": {"binary_data_size": rng.choice([*odd[1:], 63, 65])}, "data": None},
            {"parameters": {"shared_memory_region": "a"}, "data": None},
        ]
    )
    statuses = (400, 413) if "shape" in changes else (400,)
    return Bad(repr(changes)[:60], _json(request(**changes)), statuses)


def _envelope(rng: random.Random) -> Bad:
    """A good tensor in a request that is not."""
    body, odd = request(), [True, 0, -1, 1.5, "x", {}, [1], [None]]
    tensor = body["inputs"][0]
    output = {"name": "probabilities"}
    wish = rng.choice([1, 0, "true", []])
    nothing = rng.choice(["0", "", -1, 0, 1.5, True, [], {}])
    changes = rng.choice(
        [
            {"id": rng.choice([1, 1.5, True, [], {}])},
            {"inputs": rng.choice([*odd, None, [], tensor, [tensor, tensor], [[tensor]]])},
            {"inputs": [tensor, {**tensor, "name": "other"}]},
            {"inputs": [tensor] * rng.randrange(2, 300)},
            {"outputs": rng.choice([*odd, output, [{}], [[output]]])},
            {"outputs": [{"name": rng.choice(["x", "", None, 1, [], "image"])}]},
            {"outputs": [output, output]},
            {"outputs": [output, {"name": "other"}]},
            {"outputs": [{**output, "parameters": {"classification": nothing}}]},
            {"outputs": [{**output, "parameters": {"binary_data": wish}}]},
            {"outputs": [{**output, "parameters": {"shared_memory_region": "a"}}]},
            {"outputs": [{**output, "parameters": rng.choice([1, "x", [1]])}]},
            {"parameters": rng.choice([1, "x", [1], True])},
            {"parameters": {"binary_data_output": rng.choice([1, "true", [], {}])}},
        ]
    )  # fmt: skip
    return Bad(repr(changes)[:60], _json(body | changes), (400, 413))


def _binary(rng: random.Random) -> Bad:
    """Bytes behind the JSON, and sizes that lie."""
    size = rng.choice([0, 1, 63, 65, 128, 10**6])
    said = rng.choice([size, 64, -64, 64.0, "64", 2**64, None])
    if said == size == 64:
        said = 63
    text = json.dumps(request(data=None, parameters={"binary_data_size": said})).encode()
    exact = json.dumps(request(data=None, parameters={"binary_data_size": 64})).encode()
    lie = rng.choice(["-1", "x", "", "1e2", "0x10", " ", "9" * 40, str(len(exact) + 65), "²"])
    cut = rng.randrange(1, len(exact))
    files = json.dumps(
        request(name="image_bytes", datatype="BYTES", shape=[2], data=None)
        | {"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [2],
                       "parameters": {"binary_data_size": 20}}]}
    ).encode()  # fmt: skip
    count = rng.choice([0, 1, 16, 17, 2**31, 2**32 - 1])
    elements = struct.pack("<I", count) + bytes(16)
    cases = [
        ("size", text + bytes(size), {_LENGTH: str(len(text))}),
        ("header", exact + bytes(64), {_LENGTH: lie}),
        ("cut json", exact + bytes(64), {_LENGTH: str(cut)}),
        ("no header", exact + bytes(64), {}),
        ("no pixels", b"", {_LENGTH: "0"}),
        ("not one image", bytes(rng.choice([1, 63, 65, 128])), {_LENGTH: "0"}),
        ("elements", files + elements, {_LENGTH: str(len(files))}),
        ("data too", good() + bytes(64), {_LENGTH: str(len(good()))}),
    ]
    name, body, headers = rng.choice(cases)
    if len(headers) == 1 and rng.random() < 0.1:
        twice = _post(body, **headers).replace(b"host:", f"{_LENGTH}: 5\r\nhost:".encode())
        return Bad("header twice", twice)
    return Bad(name, _post(body, **headers))


@functools.cache
def _files() -> list[tuple[str, bytes]]:
    made = []
    for family in ("truncated", "bombs", "slow", "damaged", "foreign"):
        for name, data, expected in getattr(hostile_files, family)(random.Random(family)):
            if expected != hostile_files.DECODED and len(data) < MOST * 0.7:
                made.append((name, data))
    made += [
        (name, data)
        for name, data, expected in hostile_files.exotic(random.Random(0))
        if expected != hostile_files.DECODED  # animations
    ]
    return made


def _image(rng: random.Random) -> Bad:
    """Encoded images that are none, or far too large, on each way that takes them."""
    name, data = rng.choice(_files())
    text = base64.b64encode(data).decode()
    kind = f"image/{rng.choice(['png', 'jpeg', 'x'])}"
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [text]}
    signature = {"signature_name": "serving_bytes"}
    way = rng.randrange(6)
    if way == 0:
        return Bad(name, _post(data, Content_Type=kind))
    if way == 1:
        return Bad(name, _post(data, CLASSIFY))
    if way == 2:
        return Bad(name, _json({"inputs": [tensor]}))
    if way == 3:
        body = json.dumps(signature | {"instances": [{"b64": text}]}).encode()
        return Bad(name, _post(body, PREDICT))
    if way == 4 and len(data) != 64:
        return Bad(name, _post(data, **{_LENGTH: "0"}))
    wrong = rng.choice(["!", "A", "A===", "é", "AAAA\n", "-_-_"])
    return Bad("base64", _json({"inputs": [tensor | {"data": [wrong]}]}))


def _packed(rng: random.Random) -> Bad:
    """Compressed bodies that are cut, damaged, or unpack to far more than may be sent."""
    packed = gzip.compress(good(), mtime=0)
    damaged = bytearray(packed)
    damaged[rng.randrange(len(packed) - 8, len(packed))] ^= 1 + rng.randrange(255)
    other = rng.choice(["br", "zstd", "compress", "gzip, gzip", "gzip;q=1", "x" * 1000])
    target = rng.choice([INFER, PREDICT, CLASSIFY])
    cases: list[tuple[str, bytes, str, tuple[int, ...]]] = [
        ("bomb", _bomb(31), "gzip", (413,)),
        ("deflate bomb", _bomb(15), "deflate", (413,)),
        ("cut", packed[: rng.randrange(len(packed))], "gzip", (400,)),
        ("damaged", bytes(damaged), "gzip", (400,)),
        ("not packed", good(), rng.choice(["gzip", "deflate", "x-gzip"]), (400,)),
        ("other", packed, "deflate", (400,)),
        ("twice", packed + packed, "gzip", (400,)),
        ("unknown", packed, other, (501,)),
    ]
    name, body, coding, statuses = rng.choice(cases)
    return Bad(name, _post(body, target, Content_Encoding=coding), statuses)


@functools.cache
def _bomb(bits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=bits)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(20)), packer.flush()])


def _path(rng: random.Random) -> Bad:
    """Models, versions and files that are not there, and ways to others that may be."""
    up = rng.choice(["..", "%2e%2e", "%2E.", "..%2f", "%252e%252e", "..\\", "%5c..", "....//"])
    secret = rng.choice(["etc/passwd", "proc/self/environ", "manifest.json", "out/serving"])
    odd = rng.choice(["%00", "%ff", "%zz", "%", "%0d%0aSet-Cookie:%20a", "%F0%9F%92%A9", "*", "'"])
    long = rng.choice("ab.") * rng.randrange(200, 60_000)
    targets = [
        f"/{'/'.join([up] * rng.randrange(1, 9))}/{secret}",
        f"/v2/models/{up}/{secret}",
        f"/v2/models/{up}",
        f"/v2/models/digits/versions/{up}",
        f"/v2/models/{odd}",
        f"/v2/models/digits{odd}",
        f"/v2/models/digits/versions/{odd}",
        f"/v2/models/{long}",
        f"/v2/models/digits/versions/{long}",
        f"/{long}",
        f"/v2/models/{'/'.join('a' * rng.randrange(2, 99))}",
        f"/v2/models/digits/versions/{rng.choice(['0', '2', '-1', '01', '1.0', '9' * 50])}",
        f"/v2/models/{rng.choice(['digit', 'DIGITS', 'faces', 'current', '%20', 'a:b'])}",
        f"//v2/models/digits{rng.choice(['', '/infer'])}",
        f"/v1/models/{up}",
        f"/v1/models/digits/versions/{rng.choice(['0', '7', 'x', '²', long[:500]])}".replace(
            "²", "%C2%B2"
        ),
        f"/v1/models/digits/labels/{rng.choice([up, odd, 'canary'])}",
        f"/docs/{up}/{secret}",
        f"/{secret}",
        f"/openapi.json{odd}",
        f"/metrics/{up}",
        "*",
    ]
    target = rng.choice(targets)
    if rng.random() < 0.3 and target.startswith("/v2/models/") and "?" not in target:
        return Bad(target[:60], _post(good(), f"{target}/infer"), (400, 404))
    return Bad(target[:60], message(target), (400, 404))


def _method(rng: random.Random) -> Bad:
    """Methods that a path does not have."""
    methods = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "QUERY", "LINK"]
    targets = [INFER, CLASSIFY, PREDICT, "/", "/v2", "/v2/health/ready", "/metrics", "/docs"]
    target, method = rng.choice(targets), rng.choice(methods)
    statuses: tuple[int, ...] = (400, 405)
    if rng.random() < 0.3:
        target, method = rng.choice([INFER, CLASSIFY, "/v2/repository/index"]), "GET"
    elif rng.random() < 0.3:
        target, method = rng.choice(["/v2", "/metrics", "/v2/models/digits", "/docs"]), "POST"
    body = rng.choice([None, b"", good()])
    return Bad(f"{method} {target}", message(target, method, body), statuses)


def _predict(rng: random.Random) -> Bad:
    """TensorFlow Serving's interface, asked wrongly."""
    image = [[[0]] * 8] * 8
    odd = [None, True, 1, "x", 1.5, {}, [], [[]], [1], [{}], [None], ["x"]]
    bodies: list[Any] = [
        {},
        {"instances": rng.choice(odd)},
        {"inputs": rng.choice(odd)},
        {"instances": [image], "inputs": [image]},
        {"instances": [image], "signature_name": rng.choice([1, None, [], "other", "s" * 9999])},
        {"instances": [image[:7]]},
        {"instances": [image, image[:7]]},
        {"instances": [image] * 65},
        {"instances": [[[[rng.choice([-1, 256, 0.5, "1", True, None, [], 10**20])]] * 8] * 8]},
        {"instances": [{"image": image}, image]},
        {"instances": [{"image": image, "more": 1}]},
        {"instances": [{"picture": image}]},
        {"inputs": {"picture": [image]}},
        {"inputs": {"image": rng.choice(odd)}},
        {"instances": [{"b64": rng.choice([1, None, "", "!!", "AAAA"])}],
         "signature_name": "serving_bytes"},
        {"instances": [{"b64": "AAAA"}]},
    ]  # fmt: skip
    value = rng.choice(bodies)
    verb = rng.choice([PREDICT] * 4 + [f"/v1/models/digits/versions/1{':predict'}"])
    return Bad(repr(value)[:60], _post(json.dumps(value).encode(), verb), (400, 413))


def _others(rng: random.Random) -> Bad:
    """What is not offered or not allowed, and wrong parameters."""
    load = f"/v2/repository/models/{rng.choice(['digits', 'x', '..'])}/load"
    top = rng.choice(["0", "-1", "x", "", "1.5", "%C2%B2", "9" * 50])
    cases: list[tuple[bytes, tuple[int, ...]]] = [
        (_post(b"{}", load), (403,)),
        (_post(b"{}", load.replace("/load", "/unload")), (403,)),
        (_post(b"{}", load.replace("repository", "repository/other")), (501,)),
        (_post(b'{"ready": %s}' % rng.choice([b"1", b'"x"', b"[]"]), "/v2/repository/index"),
         (400,)),
        (_post(b"[" * 70, "/v2/repository/index"), (400,)),
        (message("/v2/trace/setting"), (501,)),
        (message("/v2/systemsharedmemory/status"), (501,)),
        (_post(b"{}", "/v1/models/digits:classify"), (501,)),
        (_post(b"\x89PNG", f"{CLASSIFY}?top={top}"), (400,)),
        (_post(b"", CLASSIFY), (400,)),
    ]  # fmt: skip
    data, statuses = rng.choice(cases)
    return Bad(repr(data[:50]), data, statuses)


def _pipelined(rng: random.Random) -> Bad:
    """A bad one among good ones, all sent at once."""
    family: Callable[[random.Random], Bad] = rng.choice(
        [_syntax, _framing, _not_json, _tensor, _envelope, _binary, _packed, _path, _predict]
    )
    bad, before, after = family(rng), rng.randrange(20), rng.randrange(4)
    if family in (_syntax, _framing):
        after = 0  # nobody could say where it begins
    data = GOOD * before + bad.data + GOOD * after
    return Bad(f"{family.__name__} {bad.name}", data, bad.statuses, before, after)


_FAMILIES: tuple[Callable[[random.Random], Bad], ...] = (
    *(_syntax, _framing, _not_json, _tensor, _envelope, _binary, _image, _packed, _path),
    *(_method, _predict, _others, _pipelined),
)
