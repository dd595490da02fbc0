"""HTTP requests and responses as values: what handlers see of the transport."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.server.dataplane import Version

JSON = "application/json"
BINARY = "application/octet-stream"


@dataclasses.dataclass(slots=True)
class Request:
    """A complete request. `path` is percent-encoded as it came, `headers` have lower-case names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    alone: bool = False
    """No other request is being answered at this moment."""
    version: "Version | None" = None
    """The version that answers, once a handler has found it: for the metrics."""


@dataclasses.dataclass(slots=True)
class Response:
    """`close` ends the connection after it."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


Handler = Callable[[Request], Awaitable[Response]]
