"""Paths to handlers."""

import dataclasses
import functools
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping

from serving.inference.errors import MethodNotAllowed, NotFound
from serving.server.messages import Request, Response

Endpoint = Callable[..., Awaitable[Response]]
"""Called with the request and, by name, the parts of its path; a missing part is None."""


@dataclasses.dataclass(frozen=True)
class Route:
    """`pattern` (a regular expression of the whole path), with its endpoint by method."""

    pattern: re.Pattern[str]
    endpoints: Mapping[str, Endpoint]
    protocol: str
    """For the metrics."""
    open: bool = False
    """Answered without a token."""


def route(pattern: str, protocol: str, open: bool = False, **endpoints: Endpoint) -> Route:
    """A route with one endpoint for each method, `get=...`."""
    methods = {name.upper(): endpoint for name, endpoint in endpoints.items()}
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    return Route(re.compile(pattern), methods, protocol, open)


@dataclasses.dataclass(frozen=True)
class Found:
    """A route that a path has taken, and the parts of the path, decoded."""

    route: Route
    parts: Mapping[str, str | None]

    def endpoint(self, request: Request) -> Endpoint:
        """Raises MethodNotAllowed."""
        endpoint = self.route.endpoints.get(request.method)
        if endpoint is None:
            allowed = ", ".join(sorted(self.route.endpoints))
            raise MethodNotAllowed(
                f"Method Not Allowed: {request.method} {request.path[:200]}, expected {allowed}.",
                allowed,
            )
        return endpoint


class Router:
    """The first route that fits wins."""

    def __init__(self, routes: list[Route]):
        self._routes = routes
        # Clients ask for few paths again and again.
        self._cached = functools.lru_cache(1024)(self._search)

    def find(self, path: str) -> Found:
        """Raises NotFound."""
        found = self._cached(path) if len(path) <= 300 else self._search(path)
        if found is None:
            raise NotFound(f"Not Found: {path[:200]}; /docs lists what there is.")
        return found

    def _search(self, path: str) -> Found | None:
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match:
                # Decoded after the path is split: a name may hold a slash.
                parts = match.groupdict().items()
                return Found(route, {k: v and urllib.parse.unquote(v) for k, v in parts})
        return None


def query(request: Request) -> dict[str, str]:
    """The parameters behind `?`, the last of each name."""
    return dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True))
