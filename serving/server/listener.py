"""Listening for HTTP on an address, inside this process and until it is told to stop."""

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate

from serving.server.connection import Connection
from serving.server.limits import Limits
from serving.server.messages import Handler, Response

_SWEEP_SECONDS = 0.25
"""How late a deadline may be noticed: one timer for all connections costs a request nothing."""
_BACKLOG = 2048


def claim(host: str, port: int) -> socket.socket:
    """A socket that listens on the address, which no other server does.

    Raises OSError saying why the address cannot be used.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)  # of two that start at once, the second fails here
        except OSError:
            listening.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port."
        ) from error
    return listening


class Listening:
    """The connections of one listening socket.

    `rejected` is called with a word for each request or connection that a limit turned away,
    `refusal` makes the response of one that never reached the handler.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        rejected: Callable[[str], None],
        refusal: Callable[[int, str], Response],
    ):
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self._rejected = rejected
        self._refusal = refusal
        self.stopping = False
        self.held = 0
        """Bytes of all bodies being received or answered."""
        self.working = 0
        """Requests being answered."""
        self.date = formatdate(usegmt=True)
        self._handler = handler
        self._connections: set[Connection] = set()
        self._refused: set[Connection] = set()

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def start(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accepts connections from now on."""
        _allow_files(2 * self.limits.connections + 256)
        self._server = await self.loop.create_server(
            lambda: Connection(self, self._handler),
            sock=listening,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=self.limits.header_seconds if tls else None,
            ssl_shutdown_timeout=2 if tls else None,
        )
        self._sweeping = self.loop.create_task(self._sweep())

    async def stop(self, seconds: float) -> None:
        """Accepts nothing more, lets requests under way end for at most `seconds`."""
        self.stopping = True
        self._server.close()
        for connection in [*self._connections, *self._refused]:
            connection.stop()
        end = time.monotonic() + seconds
        while self._connections and time.monotonic() < end:
            await asyncio.sleep(0.02)
        for connection in [*self._connections, *self._refused]:
            connection.abort()
        self._sweeping.cancel()

    def admit(self, connection: Connection) -> bool:
        """Whether the new connection may be used; if not, it is to be closed soon."""
        if len(self._connections) < self.limits.connections and not self.stopping:
            self._connections.add(connection)
            return True
        self.rejected("connections")
        if len(self._refused) >= self.limits.connections:
            connection.abort()
        else:
            self._refused.add(connection)
        return False

    def rejected(self, reason: str) -> None:
        """A limit turned a request or a connection away."""
        self._rejected(reason)

    def refusal(self, status: int, message: str) -> Response:
        """The answer to what never became a request."""
        return self._refusal(status, message)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._connections.discard(connection)
        self._refused.discard(connection)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.date = formatdate(usegmt=True)
            now = time.monotonic()
            for connection in [*self._connections, *self._refused]:
                if connection.deadline is not None and connection.deadline <= now:
                    with contextlib.suppress(RuntimeError):  # closed a moment ago
                        connection.expire()


def _allow_files(needed: int) -> None:
    """Raises the limit of open files to what the connections need, where the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
