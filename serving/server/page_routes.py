"""What browsers and Prometheus read: a page to try images, the interface's pages, metrics."""

import base64
import functools
import hashlib
import re
from pathlib import Path

import orjson

from serving.server import metrics, openapi
from serving.server.dataplane import Dataplane
from serving.server.messages import Request, Response
from serving.server.routes import Endpoint, Route, route

_FOLDER = Path(__file__).with_name("pages")
PROTOCOL = "pages"
_STYLE = re.compile('<link rel="stylesheet" href="([a-z.]+)">')
_SCRIPT = re.compile('<script src="([a-z.]+)"></script>')


def routes(dataplane: Dataplane, guarded: bool) -> list[Route]:
    """/, /docs, /openapi.json and /metrics. `guarded`: whether clients must send a token; the pages
    are for everybody, the document is not: it names models and classes."""

    async def exposition(request: Request) -> Response:
        return Response(dataplane.metrics.text(), content_type=metrics.CONTENT_TYPE)

    async def document(request: Request) -> Response:
        return Response(orjson.dumps(openapi.document(dataplane, guarded)))

    return [
        route("/", PROTOCOL, open=True, get=_page("index.html")),
        route("/docs/?", PROTOCOL, open=True, get=_page("docs.html")),
        route("/openapi.json", PROTOCOL, get=document),
        route("/metrics/?", PROTOCOL, get=exposition),
    ]


def _page(name: str) -> Endpoint:
    read = functools.cache(lambda: _read(name))

    async def answer(request: Request) -> Response:
        body, headers = read()
        return Response(body, content_type="text/html; charset=utf-8", headers=headers)

    return answer


def _read(name: str) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """A page as one file, with its style and its scripts inside, and its headers."""
    page, styles, scripts = _file(name), [], []

    def style(match: re.Match[str]) -> str:
        styles.append(_file(match[1]))
        return f"<style>{styles[-1]}</style>"

    def script(match: re.Match[str]) -> str:
        scripts.append(_file(match[1]))
        return f"<script>{scripts[-1]}</script>"

    page = _SCRIPT.sub(script, _STYLE.sub(style, page))
    # Only what is in the page may run, and it may only ask this server.
    policy = (
        "default-src 'none'",
        f"script-src {_hashes(scripts)}",
        f"style-src {_hashes(styles)}",
        "img-src blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    headers = (
        ("content-security-policy", "; ".join(policy)),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-cache"),
    )
    return page.encode(), headers


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hashes(texts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts)
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests) or "'none'"
