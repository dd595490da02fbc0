"""gRPC server reflection over our own descriptor pool.

The package grpcio-reflection needs the protobuf that it was generated with, a newer one than
TensorFlow takes.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from serving.server.protos.pool import message, pool

SERVICE = "grpc.reflection.v1.ServerReflection"
_OLDER = "grpc.reflection.v1alpha.ServerReflection"

_Request = message("grpc.reflection.v1.ServerReflectionRequest")
_Response = message("grpc.reflection.v1.ServerReflectionResponse")


def handlers(services: Sequence[str]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Tell of these services, by full name, and of every file of the pool."""

    async def info(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            response = _answer(request, services)
            response.valid_host = request.host
            response.original_request.CopyFrom(request)
            yield response

    method = grpc.stream_stream_rpc_method_handler(
        info,
        request_deserializer=_Request.FromString,
        response_serializer=_Response.SerializeToString,
    )
    return tuple(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
        for name in (SERVICE, _OLDER)
    )


def _answer(request: Any, services: Sequence[str]) -> Any:
    asked = request.WhichOneof("message_request")
    try:
        if asked == "list_services":
            return _Response(list_services_response={"service": [{"name": n} for n in services]})
        if asked == "file_by_filename":
            return _files(pool().FindFileByName(request.file_by_filename))
        if asked == "file_containing_symbol":
            return _files(pool().FindFileContainingSymbol(request.file_containing_symbol))
        if asked == "all_extension_numbers_of_type":
            name = pool().FindMessageTypeByName(request.all_extension_numbers_of_type).full_name
            return _Response(all_extension_numbers_response={"base_type_name": name})
    except KeyError:
        pass
    known = asked is not None
    code = grpc.StatusCode.NOT_FOUND if known else grpc.StatusCode.INVALID_ARGUMENT
    text = "there is no such file, symbol or extension." if known else "the request asks nothing."
    return _Response(error_response={"error_code": code.value[0], "error_message": text})


def _files(file: Any) -> Any:
    """The file and, so that it can be used, all that it imports."""
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one.serialized_pb
            waiting += one.dependencies
    return _Response(file_descriptor_response={"file_descriptor_proto": found.values()})
