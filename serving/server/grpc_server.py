"""Listening for gRPC on an address, in the event loop that the dataplane belongs to."""

import dataclasses
import hmac
import logging
from collections.abc import Awaitable, Callable

import grpc

from serving.inference.errors import Unauthorised
from serving.server import grpc_health, grpc_reflection, oip_grpc, tf_serving_grpc
from serving.server.dataplane import Dataplane
from serving.server.grpc_handlers import Calls
from serving.server.limits import Limits
from serving.server.log import log
from serving.server.oip_grpc import OpenInference
from serving.server.swap import Follower
from serving.server.tf_serving_grpc import TensorFlowServing

SERVICES = (oip_grpc.SERVICE, tf_serving_grpc.PREDICTION, tf_serving_grpc.MODEL)

_CALLS_PER_CONNECTION = 128
_PING_SECONDS = 10
"""The shortest time between two pings of a client; one that pings more often is disconnected."""
_WINDOW = 1024 * 1024
"""Bytes that a client may send ahead."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the server listens on, and for whom."""

    host: str = "127.0.0.1"
    port: int = 8081
    """0 for any that is free."""
    token: str | None = None
    """Which calls must carry as `authorization: Bearer TOKEN`; health is open."""
    certificate: bytes | None = None
    """PEM, with `key`: the connections are TLS."""
    key: bytes | None = None
    calls: int = 512
    """Under way at once; RESOURCE_EXHAUSTED beyond."""
    allow_load: bool = False
    """Whether clients may load and unload models."""


class Handle:
    """A running server. `port` is what it listens on."""

    def __init__(self, server: grpc.aio.Server, port: int, calls: tuple[Calls, ...]):
        self._server = server
        self._calls = calls
        self.port = port

    async def stop(self, grace: float) -> None:
        """Accepts nothing more, lets calls under way end for at most `grace` seconds."""
        for calls in self._calls:
            calls.stop()  # a stream that waits for its client would last as long as it may
        await self._server.stop(grace)


async def start(dataplane: Dataplane, follower: Follower, options: Options) -> Handle:
    """Accepts calls from now on. Raises OSError saying why the address cannot be used."""
    interceptors = [] if options.token is None else [_Token(options.token)]
    _quiet()
    server = grpc.aio.server(
        interceptors=interceptors,
        options=_settings(dataplane.limits),
        maximum_concurrent_rpcs=options.calls,
    )
    inference = Calls(dataplane, oip_grpc.PROTOCOL)
    tensorflow = Calls(dataplane, tf_serving_grpc.PROTOCOL)
    health = Calls(dataplane, grpc_health.PROTOCOL)
    server.add_generic_rpc_handlers(
        (
            OpenInference(dataplane, follower, options.allow_load).handler(inference),
            *TensorFlowServing(dataplane).handlers(tensorflow),
            grpc_health.handler(dataplane, health, SERVICES),
            *grpc_reflection.handlers((*SERVICES, grpc_health.SERVICE, grpc_reflection.SERVICE)),
        )
    )
    port = _listen(server, options)
    await server.start()
    return Handle(server, port, (inference, tensorflow, health))


def _settings(limits: Limits) -> list[tuple[str, int]]:
    milliseconds = {
        "grpc.max_connection_idle_ms": limits.idle_seconds,
        "grpc.server_handshake_timeout_ms": limits.header_seconds,
        # A client that has vanished keeps its connection no longer than this.
        "grpc.keepalive_time_ms": limits.idle_seconds,
        "grpc.keepalive_timeout_ms": limits.header_seconds,
        "grpc.http2.min_ping_interval_without_data_ms": _PING_SECONDS,
    }
    return [
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_metadata_size", limits.header_bytes),
        ("grpc.max_concurrent_streams", _CALLS_PER_CONNECTION),
        ("grpc.so_reuseport", 0),  # a second server would silently take half of the calls
        # Measuring the bandwidth costs a tenth of a small call: a fixed window instead.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW),
        *((name, int(seconds * 1000)) for name, seconds in milliseconds.items()),
    ]


def _listen(server: grpc.aio.Server, options: Options) -> int:
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"{host}:{options.port}"
    try:
        if options.certificate is None or options.key is None:
            return server.add_insecure_port(address)
        pair = (options.key, options.certificate)
        return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        reason = "the address is in use, is not this machine's, or the certificate is not valid"
        raise OSError(f"cannot listen on {address}: {reason}.") from error


def _quiet() -> None:
    """Clients that leave or speak something else are no news, and ours are lines of JSON."""
    logger = logging.getLogger("grpc")
    if not logger.handlers:
        logger.addHandler(_Log())
        logger.propagate = False


class _Log(logging.Handler):
    """What grpc's Python reports of itself; its errors of handlers never happen, see `Calls`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, grpc.aio.InternalError):
            return  # the client has left before its answer
        log("grpc", message=record.getMessage()[:500], error=repr(error)[:500])


class _Token(grpc.aio.ServerInterceptor):
    """Refuses calls without the token. There is no interceptor where there is no token: it costs
    every call."""

    def __init__(self, token: str):
        self._expected = f"bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        if details.method.startswith(f"/{grpc_health.SERVICE}/"):
            return await continuation(details)
        for name, value in details.invocation_metadata:
            if name == "authorization":
                scheme, _, token = value.partition(" ")
                given = f"{scheme.lower()} {token.strip()}".encode()
                if hmac.compare_digest(given, self._expected):
                    return await continuation(details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(requests: object, context: grpc.aio.ServicerContext) -> None:
    error = Unauthorised("expected the metadata authorization: Bearer TOKEN, with this server's.")
    await context.abort(getattr(grpc.StatusCode, error.code), str(error))
