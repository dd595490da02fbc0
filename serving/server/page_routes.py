"""What browsers and Prometheus read: a page to try images, the interface's pages, metrics."""

import functools
from pathlib import Path

from serving.server import metrics
from serving.server.dataplane import Dataplane
from serving.server.messages import Request, Response
from serving.server.routes import Route, route

_FOLDER = Path(__file__).with_name("pages")
PROTOCOL = "pages"


def routes(dataplane: Dataplane) -> list[Route]:
    """/, /docs, /openapi.json and /metrics."""

    async def exposition(request: Request) -> Response:
        return Response(dataplane.metrics.text(), content_type=metrics.CONTENT_TYPE)

    return [
        route("/", PROTOCOL, open=True, get=_file("index.html", "text/html; charset=utf-8")),
        route("/docs/?", PROTOCOL, open=True, get=_file("docs.html", "text/html; charset=utf-8")),
        route("/openapi.json", PROTOCOL, open=True, get=_file("openapi.json", "application/json")),
        route("/metrics/?", PROTOCOL, get=exposition),
    ]


def _file(name: str, content_type: str):  # type: ignore[no-untyped-def]
    body = functools.cache((_FOLDER / name).read_bytes)

    async def answer(request: Request) -> Response:
        return Response(body(), content_type=content_type)

    return answer
