"""One HTTP/1.1 connection: bytes to requests, responses to bytes, within `Limits`.

httptools (the parser of Node.js) reads the protocol. The usual ASGI servers close neither a silent
connection nor a stalled body, and cost a multiple of a small model's inference per request: hence
this module. A connection has at most one request under way; pipelined ones wait for their turn.
"""

import asyncio
import time
import urllib.parse
from collections import deque
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from serving.server.limits import Limits
from serving.server.messages import Handler, Request, Response

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_MOST_HEADERS = 100
_MOST_PIPELINED = 16
_LINGER_SECONDS = 2.0
"""For a client that is still sending what was refused, to see the answer before the connection
ends: closing at once would reset it."""


class Owner(Protocol):
    """What a connection needs of what accepted it: see `serving.server.listener.Listening`."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    held: int
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
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task | None = None
        self._lingering = False
        self._ended = False  # the client sends nothing more
        self._idle = False  # between two requests
        self._receiving = False  # between a request's first byte and its last
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
        if self._task is not None:
            self._task.cancel()  # so that what nobody waits for leaves the queue

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        if self._idle:
            self._idle = False
            self.deadline = time.monotonic() + self._limits.header_seconds
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing to upgrade to: the request was answered as it is
        except httptools.HttpParserError as error:
            if not self._lingering:
                self._refuse(400, f"this is not HTTP/1.1: {error}.")

    def eof_received(self) -> bool:
        """Half a request is no request; a complete one is still answered."""
        if self._receiving and not self._lingering:
            self._refuse(400, "the connection ended in the middle of a request.")
        elif self._task is None:
            return False
        self._ended = True
        return True

    def pause_writing(self) -> None:
        self.deadline = time.monotonic() + self._limits.body_seconds

    def resume_writing(self) -> None:
        if self._idle:
            self.deadline = time.monotonic() + self._limits.idle_seconds

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._receiving = True
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._in_body = False
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._lingering or self._in_body:  # trailers of a chunked body
            return
        key = name.decode("latin-1").lower()
        self._count(len(name) + len(value))
        if key in self._headers:
            if key in ("host", "content-length", "inference-header-content-length"):
                self._refuse(400, f"the header {key} is there twice.")
            value = self._headers[key].encode("latin-1") + b", " + value
        elif len(self._headers) == _MOST_HEADERS:
            self._refuse(431, f"there are more than {_MOST_HEADERS} headers.")
        self._headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._lingering:
            return
        self._in_body = True
        if self._parser.get_http_version() != "1.0" and "host" not in self._headers:
            return self._refuse(400, "the header Host is missing.")
        length = self._headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.body_bytes:
            return self._refuse_body()
        if self._task is None:
            self.deadline = time.monotonic() + self._limits.body_seconds
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        if self._lingering:
            return
        self._body.append(chunk)
        self._body_bytes += len(chunk)
        self._held += len(chunk)
        self._listening.held += len(chunk)
        if self._body_bytes > self._limits.body_bytes:
            self._refuse_body()
        elif self._listening.held > self._limits.bodies_bytes:
            self._listening.rejected("memory")
            self._refuse(503, "the server holds as many bodies as it takes: try again later.")

    def on_message_complete(self) -> None:
        if self._lingering:
            return
        self._receiving = False
        try:
            url = httptools.parse_url(self._url)
            path, query = url.path.decode(), (url.query or b"").decode()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError):
            return self._refuse(400, "the path of the request cannot be read.")
        if "%" in path:
            path = urllib.parse.unquote(path)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        method = self._parser.get_method().decode("latin-1")
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        request = Request(method, path, query, self._headers, body)
        if self._task is None:
            self._start(request, keep)
        else:
            self._waiting.append((request, keep))
            if len(self._waiting) == _MOST_PIPELINED:
                self._transport.pause_reading()

    # How it is done.

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.header_bytes and not self._lingering:
            self._refuse(431, f"the headers are over {self._limits.header_bytes} bytes.")

    def _start(self, request: Request, keep: bool) -> None:
        self.deadline = None
        self._task = self._listening.loop.create_task(self._answer(request, keep))

    async def _answer(self, request: Request, keep: bool) -> None:
        response = await self._handler(request)
        self._task = None
        self._release(len(request.body))
        keep = keep and not (response.close or self._lingering or self._listening.stopping)
        keep = keep and not (self._ended and not self._waiting)
        self._write(response, keep, request.method == "HEAD")
        if not keep or self._transport.is_closing():
            self._transport.close()
        elif self._waiting:
            self._start(*self._waiting.popleft())
            self._transport.resume_reading()
        elif self._receiving:
            self.deadline = time.monotonic() + self._limits.body_seconds
        else:
            self._idle = True
            if self.deadline is None:  # else the client is slow to read
                self.deadline = time.monotonic() + self._limits.idle_seconds

    def _write(self, response: Response, keep: bool, head: bool = False) -> None:
        lines = [
            f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n"
            f"content-type: {response.content_type}\r\ncontent-length: {len(response.body)}\r\n"
            f"date: {self._listening.date}\r\n"
        ]
        lines += [f"{name}: {value}\r\n" for name, value in response.headers]
        lines.append("\r\n" if keep else "connection: close\r\n\r\n")
        start = "".join(lines).encode("latin-1")
        self._transport.write(start if head else start + response.body)

    def _refuse(self, status: int, message: str) -> None:
        """Answers what never became a request, and ends the connection."""
        if self._lingering or self._transport.is_closing():
            return
        self._lingering = True
        self._receiving = False
        if self._task is None:  # else the answer would come before that of an earlier request
            self._write(self._listening.refusal(status, message), keep=False)
            if self._transport.can_write_eof():
                self._transport.write_eof()
        self.deadline = time.monotonic() + _LINGER_SECONDS

    def _refuse_body(self) -> None:
        self._refuse(413, f"the body is over {self._limits.body_bytes} bytes.")

    def _release(self, size: int) -> None:
        self._held -= size
        self._listening.held -= size

    # What the listener calls.

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = None
        if self._lingering or self._transport.get_write_buffer_size():
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
        elif self._task is None and not self._receiving:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once, whatever is under way."""
        self._transport.abort()
