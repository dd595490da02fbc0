"""The gRPC health checking protocol: of the server and of each model, always as it is now."""

import asyncio
from collections.abc import AsyncIterator, Collection

import grpc

from serving.server.dataplane import Dataplane
from serving.server.protos.pool import message

SERVICE = "grpc.health.v1.Health"

_WATCH_SECONDS = 0.25
"""How late a change reaches those who watch."""
_Request = message("grpc.health.v1.HealthCheckRequest")
_Response = message("grpc.health.v1.HealthCheckResponse")
_UNKNOWN = _Response(status="SERVICE_UNKNOWN")


def handler(dataplane: Dataplane, services: Collection[str]) -> grpc.GenericRpcHandler:
    """Known are the empty name and `services` (the server as a whole) and every model's name."""

    def status(name: str) -> object:
        if name and name not in services and name not in dataplane.served:
            return _UNKNOWN
        return _Response(status="SERVING" if dataplane.ready else "NOT_SERVING")

    async def check(request: object, context: grpc.aio.ServicerContext) -> object:
        found = status(request.service)  # type: ignore[attr-defined]
        if found is _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service or model is served.")
        return found

    async def watch(request: object, context: grpc.aio.ServicerContext) -> AsyncIterator[object]:
        last = None
        while True:
            now = status(request.service)  # type: ignore[attr-defined]
            if now != last:
                yield now
                last = now
            await asyncio.sleep(_WATCH_SECONDS)

    coding = {
        "request_deserializer": _Request.FromString,
        "response_serializer": _Response.SerializeToString,
    }
    methods = {
        "Check": grpc.unary_unary_rpc_method_handler(check, **coding),
        "Watch": grpc.unary_stream_rpc_method_handler(watch, **coding),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)
