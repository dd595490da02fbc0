"""A server's life: listen, load, serve, drain."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvloop

from serving.inference.errors import ServingError
from serving.server.application import Application
from serving.server.dataplane import Dataplane
from serving.server.listener import Listening, claim
from serving.server.log import log
from serving.server.metrics import Metrics
from serving.server.options import Options, OptionsError
from serving.server.swap import Follower
from serving.store.release import StoreError
from serving.store.store import Store

if TYPE_CHECKING:
    from serving.server import grpc_server


def run(options: Options, fail: Callable[[str], int]) -> int:
    """Serves until SIGINT or SIGTERM; a second one ends it at once. The exit code; `fail` gives
    that of a reason why it could not start."""
    try:
        with claim(options.host, options.port) as listening:
            uvloop.run(_serve(options, listening))
    except (StoreError, ServingError, OptionsError, OSError) as error:
        return fail(str(error))
    return 0


async def _serve(options: Options, socket_: socket.socket) -> None:
    limits, metrics = options.limits, Metrics()
    dataplane = Dataplane(metrics, limits, options.threads)
    store = Store(options.root / "serving")
    follower = Follower(
        store, list(options.selections), dataplane, options.format, options.public_key
    )
    application = Application(dataplane, follower, options.token, options.allow_load)
    listening = Listening(application, limits, metrics.rejected, application.refusal)
    metrics.gauge("connections", "Open HTTP connections.", lambda: len(listening))
    metrics.gauge("queue_requests", "Requests that wait.", lambda: _waiting(dataplane))
    told = _signals()
    try:
        # Before the models are loaded, so that a probe learns that it is alive, not ready.
        await listening.start(socket_, options.tls())
        grpc = await _start_grpc(options, dataplane, follower)
        loading = asyncio.create_task(follower.start())
        waited: list[asyncio.Future] = [loading, told]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            loading.result()
            dataplane.ready = True
            _announce(options, dataplane)
            following = asyncio.create_task(follower.follow())
            await told
            following.cancel()
        loading.cancel()
        dataplane.ready = False
        log("stopping", signal=told.result().name)
        await asyncio.gather(
            listening.stop(limits.drain_seconds),
            *([grpc.stop(limits.drain_seconds)] if grpc else []),
        )
    finally:
        follower.close()
        dataplane.close()


async def _start_grpc(
    options: Options, dataplane: Dataplane, follower: Follower
) -> "grpc_server.Handle | None":
    if options.grpc_port is None:
        return None
    # Its C++ core reads this when it is loaded: clients that speak something else are no news.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from serving.server import grpc_server  # half a second that HTTP alone need not wait for

    pair = (options.certificate, options.key)
    certificate, key = (path.read_bytes() if path else None for path in pair)
    chosen = grpc_server.Options(
        host=options.host,
        port=options.grpc_port,
        token=options.token,
        certificate=certificate,
        key=key,
        calls=options.limits.connections,
        allow_load=options.allow_load,
    )
    return await grpc_server.start(dataplane, follower, chosen)


def _waiting(dataplane: Dataplane) -> int:
    return sum(
        len(version.batcher)
        for served in dataplane.models()
        for version in served.versions.values()
    )


def _signals() -> "asyncio.Future[signal.Signals]":
    """Done by the first signal; the second ends the process as it would without us."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def on(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on, number)
    return told


def _announce(options: Options, dataplane: Dataplane) -> None:
    """Says on standard output what is served where."""
    scheme = "http" if options.certificate is None else "https"
    host = f"[{options.host}]" if ":" in options.host else options.host
    base = f"{scheme}://{host}:{options.port}"
    grpc = f", gRPC at {host}:{options.grpc_port}" if options.grpc_port else ""
    for served in dataplane.models():
        model = served.default.model
        where = f"{base}/v2/models/{served.name}"
        print(f"{where} serves version {model.version} on {model.provider}{grpc}", flush=True)
