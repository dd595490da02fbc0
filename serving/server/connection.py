"""One HTTP/1.1 connection: bytes to requests, responses to bytes, within `Limits`.

httptools (the parser of Node.js) reads the protocol. The usual ASGI servers close neither a silent
connection nor a stalled body, and cost a multiple of a small model's inference per request: hence
this module. A connection has at most one request under way; pipelined ones wait for their turn, and
nothing more is read than may wait. While a client does not take its answers, none is computed.
"""

import asyncio
import functools
import time
from collections import deque
from http import HTTPStatus
from typing import NamedTuple, Protocol, cast

import httptools

from serving.server.limits import Limits
from serving.server.messages import Handler, Request, Response

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_MOST_HEADERS = 100
_ONCE = ("host", "content-length", "inference-header-content-length")
_UNUSUAL = frozenset(("transfer-encoding", "expect", "upgrade"))
"""A request with such a header is read anew each time."""
_MOST_PIPELINED = 16
_PIECE = 4096
"""Bytes that the parser gets at a time, unless a body is known to go on: how many small requests
can become of one piece is bounded, so that those that wait are."""
_LINGER_SECONDS = 2.0
"""For a client that is still sending what was refused, to see the answer before the connection
ends: closing at once would reset it. Also for the answer to one that has ended its side: it may
read on, but most such clients have left."""


class _Turn(NamedTuple):
    """A request, or the refusal of what never became one, whose answer follows those before."""

    entry: Request | Response
    keep: bool = False
    """Whether the connection goes on after it."""
    old: bool = False
    """HTTP/1.0, where going on must be said."""


class _Known(NamedTuple):
    """A request that came alone and in one piece: its head to the byte, and what that means."""

    head: bytes
    size: int
    """Of the head and the body, which a request with this head has."""
    method: str
    path: str
    query: str
    headers: dict[str, str]


class Owner(Protocol):
    """What a connection needs of what accepted it: see `serving.server.listener.Listening`."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    held: int
    working: int
    stopping: bool
    date: str

    def admit(self, connection: "Connection") -> bool: ...
    def forget(self, connection: "Connection") -> None: ...
    def rejected(self, reason: str) -> None: ...
    def refusal(self, status: int, message: str) -> Response: ...


class Connection(asyncio.Protocol):
    """`deadline` (of time.monotonic) is when `expire` is called; None while a handler works."""

    def __init__(self, listening: Owner, handler: Handler):
        self._listening = listening
        self._limits = listening.limits
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[_Turn] = deque()
        self._unread = b""  # received, but not parsed before fewer requests wait
        self._task: asyncio.Task | None = None
        self._begun = False  # the task has
        self._deaf = False  # whatever else the client sends is ignored
        self._lingering = False  # the last answer is written
        self._ended = False  # the client sends nothing more
        self._unwritten = False  # the client does not take what was written
        self._idle = False  # between two requests
        self._receiving = False  # between a request's first byte and its last
        self._in_body = False
        self._missing = 0  # of a body that announced its length
        self._expects = False  # the client waits for leave to send the body
        self._fresh: list[_Turn] | None = None  # what arrives at once on an idle connection
        self._known: _Known | None = None  # the last request that came alone and at once
        self._kept = 0  # bytes that the parser holds without having told of them
        self._held = 0  # bytes counted in `listening.held`
        self.deadline: float | None = time.monotonic() + self._limits.header_seconds

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._listening.admit(self):
            self._refuse(503, "the server has as many connections as it takes: try again later.")

    def connection_lost(self, error: Exception | None) -> None:
        self._listening.forget(self)
        self._release(self._held)
        self._waiting.clear()
        self._unread = b""
        self._deaf = True
        if self._task is not None:
            self._task.cancel()  # so that what nobody waits for leaves the queue
            if not self._begun:  # it never will
                self._listening.working -= 1

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._idle:
            if self._unread:
                self._unread += data
            else:
                self._feed(data)
            return
        self._idle = False
        known = self._known
        if known is not None and len(data) == known.size and data.startswith(known.head):
            return self._again(known, data)
        self.deadline = time.monotonic() + self._limits.header_seconds
        self._fresh = []
        self._feed(data)
        self._known = self._learn(data, self._fresh)
        self._fresh = None

    def eof_received(self) -> bool:
        """Half a request is no request; a complete one is still answered, if that takes no longer
        than somebody would wait who has not left."""
        self._ended = True
        if self._receiving:
            self._refuse(400, "the connection ended in the middle of a request.")
        if self._task is None and not self._waiting:
            if self.deadline is None:
                self.deadline = time.monotonic() + self._limits.body_seconds
            return False
        if self._task is not None:
            self.deadline = time.monotonic() + _LINGER_SECONDS
        return self._transport.can_write_eof()  # TLS knows no half-closed connections

    def pause_writing(self) -> None:
        self._unwritten = True
        self.deadline = time.monotonic() + self._limits.body_seconds

    def resume_writing(self) -> None:
        self._unwritten = False
        if not (self._lingering or self._transport.is_closing()):
            self._next()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._kept = 0
        if self._deaf:
            return
        self._receiving = True
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._in_body = False
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._kept = 0
        if self._deaf:
            return
        self._url += url
        self._header_bytes += len(url)
        if self._header_bytes > self._limits.header_bytes:
            self._refuse_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._kept = 0
        if self._deaf or self._in_body:  # trailers of a chunked body
            return
        key, headers = _lower(name), self._headers
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._limits.header_bytes:
            return self._refuse_headers()
        if key in headers:
            if key in _ONCE:
                self._refuse(400, f"the header {key} is there twice.")
            value = headers[key].encode("latin-1") + b", " + value
        elif len(headers) == _MOST_HEADERS:
            self._refuse(431, f"there are more than {_MOST_HEADERS} headers.")
        headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._in_body = True
        headers, version = self._headers, self._parser.get_http_version()
        if self._parser.should_upgrade() and "upgrade" in headers:
            return  # `_without_upgrade` follows
        if version not in ("1.0", "1.1"):
            return self._refuse(400, f"this is HTTP/{version}, expected HTTP/1.1.")
        if version == "1.1" and "host" not in headers:
            return self._refuse(400, "the header Host is missing.")
        if headers.get("transfer-encoding", "chunked").lower() != "chunked":
            return self._refuse(501, "Transfer-Encoding is another than chunked.")
        length = headers.get("content-length", "0")
        self._missing = int(length) if length.isdecimal() else 0
        if self._missing > self._limits.body_bytes:
            return self._refuse_body()
        if self._listening.held + self._missing > self._limits.bodies_bytes:
            return self._refuse_memory()
        if "expect" in headers and version == "1.1":
            if headers["expect"].lower() != "100-continue":
                return self._refuse(417, "Expect is another than 100-continue.")
            self._expects = True
        if self._task is None and not self._waiting and not self._unwritten:
            self._await_body()

    def on_body(self, chunk: bytes) -> None:
        self._kept = 0
        if self._deaf:
            return
        size = len(chunk)
        self._body.append(chunk)
        self._missing -= size
        self._body_bytes += size
        self._held += size
        self._listening.held += size
        if self._body_bytes > self._limits.body_bytes:
            self._refuse_body()
        elif self._listening.held > self._limits.bodies_bytes:
            self._refuse_memory()

    def on_message_complete(self) -> None:
        self._kept = 0
        if self._deaf or (self._parser.should_upgrade() and "upgrade" in self._headers):
            return
        try:
            url = httptools.parse_url(self._url)
            path, query = url.path.decode(), (url.query or b"").decode()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError):
            return self._refuse(400, "the path of the request cannot be read.")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._receiving = self._in_body = self._expects = False
        self._body, self._body_bytes, self._missing = [], 0, 0
        parser = self._parser
        method, old = parser.get_method().decode("latin-1"), parser.get_http_version() == "1.0"
        keep = parser.should_keep_alive() and not parser.should_upgrade()
        self._deaf = not keep
        turn = _Turn(Request(method, path, query, self._headers, body), keep, old)
        self._waiting.append(turn)
        if self._fresh is not None:
            self._fresh.append(turn)
        if self._task is None and not self._unwritten:
            self._take()

    # How it is done.

    def _learn(self, data: bytes, fresh: list[_Turn]) -> "_Known | None":
        """How `data` began, if it was one whole request: clients send the same again and again."""
        if len(fresh) != 1 or self._receiving or self._deaf:
            return None
        ((request, keep, old),) = fresh
        assert isinstance(request, Request)
        head = data[: len(data) - len(request.body)]
        if old or not (keep and _UNUSUAL.isdisjoint(request.headers)) or len(head) > _PIECE:
            return None
        if head.find(b"\r\n\r\n") != len(head) - 4:
            return None  # empty lines before or behind it, which parsers pass over
        return _Known(
            head, len(data), request.method, request.path, request.query, dict(request.headers)
        )

    def _again(self, known: "_Known", data: bytes) -> None:
        """A request like the last one but for its body: what the parser would say is known."""
        body = data[len(known.head) :]
        self._held += len(body)
        self._listening.held += len(body)
        request = Request(known.method, known.path, known.query, known.headers, body)
        self._waiting.append(_Turn(request, keep=True))
        if self._listening.held > self._limits.bodies_bytes:
            self._waiting.clear()
            self._refuse_memory()
        elif not self._unwritten:
            self._take()

    def _feed(self, data: bytes) -> None:
        """Parses `data`, the rest of it later if too many requests wait."""
        rest = memoryview(data) if len(data) > _PIECE else data
        while rest and not self._deaf:
            if len(self._waiting) >= _MOST_PIPELINED:
                self._unread = bytes(rest)
                self._transport.pause_reading()
                return
            size = max(_PIECE, self._missing)
            piece, rest = rest[:size], rest[size:]
            self._kept += len(piece)
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as pause:
                rest = self._without_upgrade() + bytes(piece[pause.args[0] :]) + bytes(rest)
            except httptools.HttpParserError as error:
                self._refuse(400, f"this is not HTTP/1.1: {error}.")
            if self._kept > self._limits.header_bytes:
                self._refuse_headers()

    def _without_upgrade(self) -> bytes:
        """The headers without their offer of another protocol, which clients of Java's make with
        every request: the parser, which has taken them for the last of HTTP, begins again."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        if self._headers.pop("upgrade", None) is None:  # CONNECT, which is refused
            return b""
        lines = [b"%s %s HTTP/%s" % (method, self._url, version.encode())]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in self._headers.items()]
        self._parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def _await_body(self) -> None:
        self.deadline = time.monotonic() + self._limits.body_seconds
        if self._expects:
            self._expects = False
            if not self._body_bytes:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next(self) -> None:
        """After an answer: the request that waits, the one that is arriving, or the next one."""
        if self._task is not None or self._unwritten:
            return
        if self._waiting:
            self._take()
            if self._unread:
                data, self._unread = self._unread, b""
                self._feed(data)
                if not self._unread:
                    self._transport.resume_reading()
        elif self._receiving and self._in_body:
            self._await_body()
        elif self._receiving:
            self.deadline = time.monotonic() + self._limits.header_seconds
        else:
            self._idle = True
            self.deadline = time.monotonic() + self._limits.idle_seconds

    def _take(self) -> None:
        turn = self._waiting.popleft()
        if isinstance(turn.entry, Response):
            self._end(turn.entry)
        else:
            self.deadline = time.monotonic() + _LINGER_SECONDS if self._ended else None
            self._listening.working += 1
            self._begun = False
            self._task = self._listening.loop.create_task(self._answer(turn.entry, turn))

    async def _answer(self, request: Request, turn: _Turn) -> None:
        self._begun = True
        try:
            # Requests that came with this one have been counted by now, before any is answered.
            request.alone = self._listening.working == 1
            response = await self._handler(request)
        finally:
            self._listening.working -= 1
        self._task = None
        self._release(len(request.body))
        if self._transport.is_closing():
            return
        last = not turn.keep or response.close
        if not self._waiting:
            last = last or self._ended or self._listening.stopping
        self._write(response, last, turn.old, request.method == "HEAD")
        if last:
            self._deaf = True
            self.deadline = time.monotonic() + self._limits.body_seconds  # to take the answer
            self._transport.close()
        else:
            self._next()

    def _write(self, response: Response, last: bool, old: bool = False, head: bool = False) -> None:
        more = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
        if last:
            more += "connection: close\r\n"
        elif old:
            more += "connection: keep-alive\r\n"
        start = (
            f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n"
            f"content-type: {response.content_type}\r\ncontent-length: {len(response.body)}\r\n"
            f"date: {self._listening.date}\r\n{more}\r\n"
        ).encode("latin-1")
        self._transport.write(start if head else start + response.body)

    def _refuse(self, status: int, message: str) -> None:
        """Answers what never became a request, after those before it, and ends the connection."""
        if self._deaf or self._transport.is_closing():
            return
        self._deaf = True
        if self._receiving:
            self._receiving = False
            self._release(self._body_bytes)
            self._body = []
        self._waiting.append(_Turn(self._listening.refusal(status, message)))
        if self._task is None and not self._unwritten:
            self._take()

    def _refuse_headers(self) -> None:
        self._refuse(431, f"the headers are over {self._limits.header_bytes} bytes.")

    def _refuse_body(self) -> None:
        self._refuse(413, f"the body is over {self._limits.body_bytes} bytes.")

    def _refuse_memory(self) -> None:
        self._listening.rejected("memory")
        self._refuse(503, "the server holds as many bodies as it takes: try again later.")

    def _end(self, response: Response) -> None:
        """Writes the last answer, and leaves the client time to read it."""
        self._lingering = True
        self._write(response, last=True)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.deadline = time.monotonic() + _LINGER_SECONDS
        if self._ended:
            self._transport.close()

    def _release(self, size: int) -> None:
        self._held -= size
        self._listening.held -= size

    # What the listener calls.

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = None
        if (
            self._task is not None  # of a client that has ended its side
            or self._lingering
            or self._transport.is_closing()
            or self._transport.get_write_buffer_size()
        ):
            self._transport.abort()
        elif not self._receiving:
            self._transport.close()
        else:
            what = "body" if self._in_body else "headers"
            self._listening.rejected("deadline")
            self._refuse(408, f"the request's {what} did not arrive in time.")

    def stop(self) -> None:
        """No further requests: closes at once unless one is under way or arriving."""
        if self._receiving and not self._in_body and self.deadline is not None:
            self.deadline = min(self.deadline, time.monotonic() + _LINGER_SECONDS)
        elif self._task is None and not self._waiting and not self._receiving:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once, whatever is under way."""
        self._transport.abort()


@functools.lru_cache(1024)
def _lower(name: bytes) -> str:
    """Clients send few names of headers again and again."""
    return name.decode("latin-1").lower()
