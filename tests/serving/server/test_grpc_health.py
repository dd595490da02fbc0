"""Health and reflection: what probes and tools ask a gRPC server."""

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from serving.server import grpc_health, grpc_reflection
from serving.server.grpc_server import SERVICES
from serving.server.oip_grpc import SERVICE
from serving.server.protos.pool import message
from tests.helpers.grpc_servers import (
    SECONDS,
    Client,
    eventually,
    failure,
)

CODE = grpc.StatusCode


def test_health_is_the_servers_and_each_models_and_follows_readiness(running, channel):
    health = Client(channel, grpc_health.SERVICE)
    for name in ("", "digits", *SERVICES):
        assert health("Check", service=name).status == 1  # SERVING
    assert failure(health, "Check", service="faces")[0] == CODE.NOT_FOUND
    running.dataplane.ready = False
    try:
        for name in ("", "digits", SERVICE):
            assert health("Check", service=name).status == 2  # NOT_SERVING
    finally:
        running.dataplane.ready = True


def test_those_who_watch_health_learn_of_changes(running, channel):
    request = message("grpc.health.v1.HealthCheckRequest")
    watch = channel.unary_stream(
        f"/{grpc_health.SERVICE}/Watch",
        request_serializer=request.SerializeToString,
        response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString,
    )
    changes = watch(request(service="digits"), timeout=SECONDS)
    assert next(changes).status == 1
    running.dataplane.ready = False
    try:
        assert next(changes).status == 2
    finally:
        running.dataplane.ready = True
    assert next(changes).status == 1
    changes.cancel()
    unknown = watch(request(service="faces"), timeout=SECONDS)
    assert next(unknown).status == 3  # SERVICE_UNKNOWN
    unknown.cancel()
    broken = channel.unary_stream(f"/{grpc_health.SERVICE}/Watch")(b"\xff", timeout=SECONDS)
    assert failure(next, broken)[0] == CODE.INVALID_ARGUMENT


def test_those_who_watch_leave_room_for_calls(channel):
    path = f"/{grpc_health.SERVICE}/Watch"
    watches = [channel.unary_stream(path)(b"", timeout=SECONDS) for _ in range(64)]
    for watch in watches:
        next(watch)
    late = channel.unary_stream(path)(b"", timeout=SECONDS)
    assert failure(next, late)[0] == CODE.RESOURCE_EXHAUSTED
    for watch in watches:
        watch.cancel()
    eventually(lambda: _watches(channel))


def _watches(channel) -> bool:
    try:
        watch = channel.unary_stream(f"/{grpc_health.SERVICE}/Watch")(b"", timeout=SECONDS)
        return bool(next(watch))
    except grpc.RpcError:
        return False


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_every_service_completely(channel, version):
    name = f"grpc.reflection.{version}.ServerReflection"
    request = message("grpc.reflection.v1.ServerReflectionRequest")
    ask = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=request.SerializeToString,
        response_deserializer=message("grpc.reflection.v1.ServerReflectionResponse").FromString,
    )
    (listed,) = ask(iter([request(list_services="*")]), timeout=SECONDS)
    services = [one.name for one in listed.list_services_response.service]
    assert {*SERVICES, grpc_health.SERVICE, grpc_reflection.SERVICE} == set(services)
    questions = [request(file_containing_symbol=service) for service in services]
    for service, answer in zip(services, ask(iter(questions), timeout=SECONDS)):
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(content)
            for content in answer.file_descriptor_response.file_descriptor_proto
        ]
        pool = DescriptorPool()
        while files:  # what is imported first
            (file, *_) = [one for one in files if not {f.name for f in files} & {*one.dependency}]
            pool.Add(file)
            files.remove(file)
        assert pool.FindServiceByName(service).methods
    by_name = request(file_by_filename="tensorflow.proto")
    unknown = [request(file_containing_symbol="a.B"), request(file_by_filename="b"), request()]
    found, *missing = ask(iter([by_name, *unknown]), timeout=SECONDS)
    assert found.file_descriptor_response.file_descriptor_proto
    assert [one.error_response.error_code for one in missing] == [5, 5, 3]
