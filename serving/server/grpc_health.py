"""The gRPC health checking protocol: of the server and of each model, always as it is now."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc

from serving.inference.errors import InvalidRequest, NotFound
from serving.server.dataplane import Dataplane
from serving.server.grpc_handlers import Call, Calls, parse
from serving.server.protos.pool import message

PROTOCOL = "grpc_health"
SERVICE = "grpc.health.v1.Health"

_WATCH_SECONDS = 0.25
"""How late a change reaches those who watch."""
_WATCHERS = 64
"""Health is open to everybody: those who watch must leave room for calls."""
_Request = message("grpc.health.v1.HealthCheckRequest")
_Response = message("grpc.health.v1.HealthCheckResponse")
_UNKNOWN = _Response(status="SERVICE_UNKNOWN")


def handler(
    dataplane: Dataplane, calls: Calls, services: Collection[str]
) -> grpc.GenericRpcHandler:
    """Known are the empty name and `services` (the server as a whole) and every model's name."""
    watching = 0

    def status(name: str) -> Any:
        if name and name not in services and name not in dataplane.served:
            return _UNKNOWN
        return _Response(status="SERVING" if dataplane.ready else "NOT_SERVING")

    async def check(request: Any, call: Call) -> Any:
        found = status(request.service)
        if found is _UNKNOWN:
            raise NotFound(f"no service or model {request.service[:100]!r} is served.")
        return found

    async def watch(requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        nonlocal watching
        if watching >= _WATCHERS:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "as many watch as may: use Check."
            )
        watching += 1
        try:
            name = await _name(await calls.read(context), context)
            last = None
            while not calls.stopping:
                now = status(name)
                if now != last:
                    yield now.SerializeToString()
                    last = now
                await asyncio.sleep(_WATCH_SECONDS)
        finally:
            watching -= 1

    methods = {"Check": check, "Watch": grpc.stream_stream_rpc_method_handler(watch)}
    return calls.service(SERVICE, methods, {})


async def _name(content: bytes, context: grpc.aio.ServicerContext) -> str:
    try:
        return parse(_Request, content).service
    except InvalidRequest as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    raise AssertionError("abort returns to nobody")
