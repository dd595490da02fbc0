"""Listening on an address with Granian, inside this process and until it is told to stop."""

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server


def claim(host: str, port: int) -> socket.socket:
    """Makes sure that this process alone serves the address; keep the result for as long.

    Granian listens with SO_REUSEPORT: without this, a second server would start without complaint
    and silently take half of the requests. Binding without that option finds any listener; the
    name in the abstract Unix name space, gone with its process, decides between two that start at
    the same moment. Raises OSError saying why the address cannot be used.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        claimed = socket.socket(socket.AF_UNIX)
        try:
            claimed.bind(f"\0darkroom-serving-{address[0]}-{port}")
        except OSError:
            claimed.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port."
        ) from error
    return claimed


def serve(app: Callable[..., Any], host: str, port: int, started: Callable[[], None]) -> None:
    """Serves the ASGI application until SIGINT or SIGTERM; requests under way are finished.

    `started` is called once connections are accepted. Raises OSError or RuntimeError when the
    address cannot be listened on.
    """
    uvloop.run(_serve(app, host, port, started))


async def _serve(
    app: Callable[..., Any], host: str, port: int, started: Callable[[], None]
) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.create_task(server.serve())
    if await _accepts(host, port, serving):
        started()
    await serving


async def _accepts(host: str, port: int, serving: asyncio.Task) -> bool:
    """Waits for the first connection to be accepted; False when serving ended before."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return True
    return False
