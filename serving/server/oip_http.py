"""The Open Inference Protocol v2 over HTTP, with Triton's extensions."""

from typing import Any

import orjson

from serving.inference.errors import InvalidRequest, NotOffered
from serving.server import classification, content, descriptions, json_body, oip, oip_answers
from serving.server.dataplane import Dataplane, Version
from serving.server.messages import BINARY, Request, Response
from serving.server.repository import Repository
from serving.server.routes import Route, query, route
from serving.server.swap import Follower

PROTOCOL = "oip_http"
_LENGTH = "inference-header-content-length"
_LARGE = 128 * 1024
"""Bodies over this many bytes are read in a thread: the event loop must go on."""


def routes(dataplane: Dataplane, follower: Follower, allow_load: bool) -> list[Route]:
    """Everything below /v2, with or without a slash at the end."""
    api = _Api(dataplane, follower, allow_load)
    model = "/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?"
    repository = "/v2/repository(?:/(?P<repository>[^/]+))?"
    tracing = "/v2(?:/models/[^/]+)?/(?:trace/setting|logging)/?"
    memory = "/v2/(?:system|cuda)sharedmemory/.*"
    return [
        route(f"{model}/infer/?", PROTOCOL, post=api.infer),
        route("/v2/health/live/?", PROTOCOL, open=True, get=api.live),
        route("/v2/health/ready/?", PROTOCOL, open=True, get=api.ready),
        route("/v2/?", PROTOCOL, get=api.server),
        route("/v2/models/?", PROTOCOL, get=api.models),
        route("/v2/models/stats/?", PROTOCOL, get=api.statistics),
        route(f"{model}/?", PROTOCOL, get=api.metadata),
        route(f"{model}/ready/?", PROTOCOL, get=api.model_ready),
        route(f"{model}/config/?", PROTOCOL, get=api.config),
        route(f"{model}/stats/?", PROTOCOL, get=api.statistics),
        route(f"{model}/classify/?", PROTOCOL, post=api.classify),
        route(f"{repository}/index/?", PROTOCOL, post=api.index),
        route(f"{repository}/models/(?P<name>[^/]+)/load/?", PROTOCOL, post=api.load),
        route(f"{repository}/models/(?P<name>[^/]+)/unload/?", PROTOCOL, post=api.unload),
        route(f"{tracing}|{memory}", PROTOCOL, get=_not_offered, post=_not_offered),
    ]


def json_response(value: Any, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(orjson.dumps(value), status)


class _Api:
    def __init__(self, dataplane: Dataplane, follower: Follower, allow_load: bool):
        self._dataplane = dataplane
        self._repository = Repository(dataplane, follower, allow_load)

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        ready = self._dataplane.ready
        return json_response({"live": True, "ready": ready}, 200 if ready else 503)

    async def server(self, request: Request) -> Response:
        return json_response(descriptions.server())

    async def models(self, request: Request) -> Response:
        return json_response({"models": [served.name for served in self._dataplane.models()]})

    async def metadata(self, request: Request, name: str, version: str | None) -> Response:
        found = self._find(request, name, version)
        served = self._dataplane.served_model(name)
        numbers = [version] if version else descriptions.numbers(served)
        return json_response(descriptions.metadata(found.model, numbers))

    async def model_ready(self, request: Request, name: str, version: str | None) -> Response:
        self._find(request, name, version)
        return json_response({"name": name, "ready": self._dataplane.ready})

    async def config(self, request: Request, name: str, version: str | None) -> Response:
        return json_response(descriptions.config(self._find(request, name, version)))

    async def statistics(
        self, request: Request, name: str | None = None, version: str | None = None
    ) -> Response:
        versions = self._repository.versions(name or "", version or "")
        return json_response(descriptions.statistics(versions))

    async def infer(self, request: Request, name: str, version: str | None) -> Response:
        found = self._find(request, name, version)
        model, kind = found.model, request.headers.get("content-type", "")
        if kind.startswith("image/") and _LENGTH not in request.headers:
            inference = oip.Inference(files=[await self._unpacked(request)])
        elif len(request.body) > _LARGE or "content-encoding" in request.headers:
            inference = await self._dataplane.parsed(lambda: self._parse(request, found))
        else:
            inference = oip.parse(model, request.body, request.headers.get(_LENGTH))
        if inference.images is not None:
            probabilities = await found.batcher.infer(inference.images, request.alone)
        else:
            probabilities = await self._dataplane.infer_encoded(found, inference.files or [])
        body, header = oip_answers.answer(model, inference, probabilities)
        response = Response(body)
        if header is not None:
            response = Response(body, content_type=BINARY, headers=((_LENGTH, str(header)),))
        return content.packed(request, response)

    def _parse(self, request: Request, found: Version) -> oip.Inference:
        body = content.unpacked(request, self._dataplane.limits.body_bytes)
        return oip.parse(found.model, body, request.headers.get(_LENGTH))

    async def _unpacked(self, request: Request) -> bytes:
        if "content-encoding" not in request.headers:
            return request.body
        limit = self._dataplane.limits.body_bytes
        return await self._dataplane.parsed(lambda: content.unpacked(request, limit))

    async def classify(self, request: Request, name: str, version: str | None) -> Response:
        """Not of the protocol: a file in, labels out; for people, pages and scripts."""
        found = self._find(request, name, version)
        count = query(request).get("top", "3")
        digits = len(str(classification.MOST_CLASSES))
        if not (count.isascii() and count.isdecimal() and len(count) <= digits and int(count)):
            raise InvalidRequest(f"top is {count[:20]!r}, expected a number of classes.")
        files = [await self._unpacked(request)]
        probabilities = await self._dataplane.infer_encoded(found, files)
        classes = classification.labelled(found.model, probabilities, int(count))[0]
        model = found.model
        return json_response(
            {"model_name": model.name, "model_version": model.version, "classes": classes}
        )

    async def index(self, request: Request, repository: str | None) -> Response:
        ready = _body(request).get("ready")
        if ready is not None and type(ready) is not bool:
            raise InvalidRequest(f"ready is {json_body.kind(ready)}, expected true or false.")
        return json_response(await self._repository.index(bool(ready)))

    async def load(self, request: Request, name: str, repository: str | None) -> Response:
        parameters = _body(request).get("parameters")
        if parameters is not None and not isinstance(parameters, dict):
            raise InvalidRequest(f"parameters is {json_body.kind(parameters)}, not an object.")
        await self._repository.load(repository or "", name, parameters)
        return json_response({"name": name, "load": True})

    async def unload(self, request: Request, name: str, repository: str | None) -> Response:
        _body(request)
        await self._repository.unload(repository or "", name)
        return json_response({"name": name, "unload": True})

    def _find(self, request: Request, name: str, version: str | None) -> Version:
        found = request.version = self._dataplane.find(name, version)
        return found


async def _not_offered(request: Request) -> Response:
    raise NotOffered(f"{request.path[:100]}: trace, logging and shared memory are not offered.")


def _body(request: Request) -> dict:
    return json_body.parse(request.body) if request.body else {}
