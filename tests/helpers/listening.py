"""A listening server inside the test's process, with a handler of the test's own."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator

import uvloop

from serving.server.limits import Limits
from serving.server.listener import Listening, claim
from serving.server.messages import Handler, Response


class Server:
    """`rejected`: words of what limits turned away. `listening` belongs to the loop's thread."""

    port: int
    listening: Listening
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.rejected: list[str] = []

    def call(self, function: Callable[[], object]) -> None:
        """Soon, in the loop."""
        self.loop.call_soon_threadsafe(function)


@contextlib.contextmanager
def serve(handler: Handler, limits: Limits, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Answers on a free port of 127.0.0.1, from a thread with an event loop like the server's."""
    server, started, ended = Server(), threading.Event(), threading.Event()

    async def run() -> None:
        server.loop = asyncio.get_running_loop()
        server.listening = Listening(handler, limits, server.rejected.append, _refusal)
        told = asyncio.Event()
        ended.set = lambda: server.call(told.set)  # type: ignore[method-assign]
        with claim("127.0.0.1", 0) as socket:
            server.port = socket.getsockname()[1]
            await server.listening.start(socket, tls)
            started.set()
            await told.wait()
            await server.listening.stop(limits.drain_seconds)

    thread = threading.Thread(target=lambda: uvloop.run(run()))
    thread.start()
    try:
        assert started.wait(10)
        yield server
    finally:
        ended.set()
        thread.join(20)
        assert not thread.is_alive()


def _refusal(status: int, message: str) -> Response:
    return Response(message.encode(), status)
