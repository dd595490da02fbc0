"""The gRPC server itself: health, reflection, limits, TLS and tokens, starting and stopping."""

import concurrent.futures
import contextlib
import datetime
import ipaddress
import itertools
import json
import signal
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from serving.server import grpc_health, grpc_reflection
from serving.server.grpc_server import SERVICES, Options, start
from serving.server.limits import Limits
from serving.server.oip_grpc import SERVICE
from serving.server.protos.pool import message
from serving.store.store import Store
from tests.helpers.grpc_servers import SECONDS, Client, grpc_server
from tests.helpers.serving_fixtures import digits_release, expected, free_port, server

CODE = grpc.StatusCode
ONE = np.zeros((1, 8, 8, 1), np.uint8)
INFER = {
    "model_name": "digits",
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": ONE.shape}],
    "raw_input_contents": [ONE.tobytes()],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    Store(directory / "serving").publish("digits", digits_release(directory / "source"))
    return directory / "serving"


@pytest.fixture(scope="module")
def running(store):
    with grpc_server(store, Limits(body_bytes=100_000)) as server:
        yield server


@pytest.fixture
def channel(running):
    with grpc.insecure_channel(running.target) as channel:
        yield channel


def failure(call, *arguments, **fields) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    return caught.value.code(), caught.value.details()


def probabilities(answer) -> np.ndarray:
    return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(-1, 10)


def eventually(condition) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


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


def test_a_message_over_the_limit_is_refused_and_the_next_is_answered(channel):
    ask = Client(channel, SERVICE)
    code, details = failure(ask, "ModelInfer", **INFER | {"raw_input_contents": [b"0" * 100_000]})
    assert code == CODE.RESOURCE_EXHAUSTED and "100000" in details
    np.testing.assert_allclose(probabilities(ask("ModelInfer", **INFER)), expected(ONE), atol=1e-5)


def test_bytes_that_are_no_message_are_the_clients_mistake(channel, capfd):
    code, details = failure(channel.unary_unary(f"/{SERVICE}/ModelInfer"), b"\xff\xff", timeout=9)
    assert code == CODE.INVALID_ARGUMENT and "expected inference.ModelInferRequest" in details
    answers = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(iter([b"\xff"]), timeout=9)
    (answer,) = map(message("inference.ModelStreamInferResponse").FromString, answers)
    assert "cannot be read" in answer.error_message
    assert capfd.readouterr().err == ""


def test_unknown_methods_and_services_are_unimplemented(channel):
    for path in (f"/{SERVICE}/ModelDance", "/a.B/C"):
        assert failure(channel.unary_unary(path), b"", timeout=9)[0] == CODE.UNIMPLEMENTED


def test_answers_are_counted_by_protocol_and_status(running, channel):
    ask = Client(channel, SERVICE)
    ask("ModelInfer", **INFER)
    failure(ask, "ModelInfer", **INFER | {"model_name": "faces"})
    text = running.dataplane.metrics.text().decode()
    assert (
        'requests_total{model="digits",protocol="oip_grpc",status="200",version="1"}' in text
        and 'requests_total{model="",protocol="oip_grpc",status="404",version=""}' in text
    )


def test_a_model_that_fails_is_an_internal_error_that_only_the_log_explains(
    running, channel, monkeypatch, capfd
):
    def broken(images):
        raise RuntimeError("a secret of the machine")

    monkeypatch.setattr(running.dataplane.find("digits").model, "run", broken)
    code, details = failure(Client(channel, SERVICE), "ModelInfer", **INFER)
    assert code == CODE.INTERNAL and "the server's log says more" in details
    assert "secret" not in details and "secret" in capfd.readouterr().err


def test_a_token_is_asked_for_everywhere_but_of_health(store):
    with (
        grpc_server(store, token="0123456789abcdef") as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        ask = Client(channel, SERVICE)
        assert Client(channel, grpc_health.SERVICE)("Check").status == 1
        right = [("authorization", "Bearer 0123456789abcdef")]
        wrong = [[], [("authorization", "Bearer 0123456789abcde")], [("authorization", "0123")]]
        for method, metadata in itertools.product(("ServerLive", "ModelInfer"), wrong):
            code, details = failure(ask, method, metadata=metadata)
            assert code == CODE.UNAUTHENTICATED and "Bearer" in details
            assert "0123" not in details
        stream = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(iter([]), timeout=9)
        assert failure(list, stream)[0] == CODE.UNAUTHENTICATED
        answer = ask("ModelInfer", metadata=right, **INFER)
        np.testing.assert_allclose(probabilities(answer), expected(ONE), atol=1e-5)
        assert ask("ServerLive", metadata=[("authorization", "bearer 0123456789abcdef")]).live


def certificate() -> tuple[bytes, bytes]:
    """A certificate for 127.0.0.1 and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return made.public_bytes(pem), private


def test_with_a_certificate_calls_are_encrypted_and_others_are_refused(store):
    public, private = certificate()
    with grpc_server(store, certificate=public, key=private) as running:
        with grpc.secure_channel(
            running.target, grpc.ssl_channel_credentials(root_certificates=public)
        ) as channel:
            assert Client(channel, SERVICE)("ServerReady").ready
        with grpc.insecure_channel(running.target) as channel:
            assert failure(Client(channel, SERVICE), "ServerReady")[0] == CODE.UNAVAILABLE


def test_what_keeps_it_from_starting_is_said(running):
    port = int(running.target.rpartition(":")[2])
    for options in (
        Options(port=port),
        Options(host="203.0.113.1", port=0),
        Options(port=0, certificate=b"none", key=b"none"),
    ):
        with pytest.raises(OSError, match="cannot listen on"):
            running.call(start(running.dataplane, running.follower, options))


def test_clients_load_and_unload_models_where_they_may(store):
    with (
        grpc_server(store, allow_load=True) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        ask = Client(channel, SERVICE)
        ask("RepositoryModelUnload", model_name="digits")
        assert not ask("ModelReady", name="digits").ready
        assert failure(ask, "ModelInfer", **INFER)[0] == CODE.NOT_FOUND
        (entry,) = ask("RepositoryIndex").models
        assert (entry.name, entry.state) == ("digits", "UNAVAILABLE")
        assert not ask("RepositoryIndex", ready=True).models
        assert failure(ask, "RepositoryModelLoad", model_name="faces")[0] == CODE.INVALID_ARGUMENT
        parameters = {"config": {"string_param": "{}"}}
        code, details = failure(
            ask, "RepositoryModelLoad", model_name="digits", parameters=parameters
        )
        assert code == CODE.INVALID_ARGUMENT and "without parameters" in details
        ask("RepositoryModelLoad", model_name="digits")
        assert ask("ModelReady", name="digits").ready


def test_before_models_are_loaded_it_is_alive_but_unavailable(store):
    with (
        grpc_server(store) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        ask = Client(channel, SERVICE)
        running.dataplane.ready, running.dataplane.served = False, {}
        assert ask("ServerLive").live and not ask("ServerReady").ready
        assert not ask("ModelReady", name="digits").ready
        assert failure(ask, "ModelInfer", **INFER)[0] == CODE.UNAVAILABLE


def test_more_requests_than_may_wait_are_told_to_try_again(store):
    limits = Limits(queue=1, delay_seconds=0.5)
    with (
        grpc_server(store, limits) as running,
        grpc.insecure_channel(running.target) as channel,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        ask = Client(channel, SERVICE)
        first = pool.submit(ask, "ModelInfer", **INFER)
        eventually(lambda: len(running.dataplane.find("digits").batcher))
        code, details = failure(ask, "ModelInfer", **INFER)
        assert code == CODE.UNAVAILABLE and "try again later" in details
        np.testing.assert_allclose(probabilities(first.result(9)), expected(ONE), atol=1e-5)


def test_messages_held_together_are_limited(store):
    with (
        grpc_server(store, Limits(bodies_bytes=50)) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        code, details = failure(Client(channel, SERVICE), "ModelInfer", **INFER)
        assert code == CODE.UNAVAILABLE and "as many messages as it takes" in details
        assert Client(channel, SERVICE)("ServerLive").live


def test_more_calls_than_may_run_are_refused(store):
    with (
        grpc_server(store, calls=1) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        watch = channel.unary_stream(f"/{grpc_health.SERVICE}/Watch")(b"", timeout=SECONDS)
        next(watch)
        assert failure(Client(channel, SERVICE), "ServerLive")[0] == CODE.RESOURCE_EXHAUSTED
        watch.cancel()
        eventually(lambda: _answers(channel))


def _answers(channel) -> bool:
    try:
        return Client(channel, SERVICE)("ServerLive").live
    except grpc.RpcError:
        return False


def test_a_client_that_gives_up_leaves_the_queue(store):
    with (
        grpc_server(store, Limits(delay_seconds=5)) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        request = message("inference.ModelInferRequest")(**INFER)
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        code, _ = failure(call, request.SerializeToString(), timeout=0.3)
        assert code == CODE.DEADLINE_EXCEEDED
        eventually(lambda: not len(running.dataplane.find("digits").batcher))


def test_silent_connections_and_calls_without_their_message_are_ended(store):
    limits = Limits(idle_seconds=0.5, header_seconds=0.5, body_seconds=0.5)
    with (
        grpc_server(store, limits) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        host, _, port = running.target.partition(":")
        for start_of_http in (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"):
            with socket.create_connection((host, int(port)), timeout=SECONDS) as client:
                client.sendall(start_of_http)
                while client.recv(4096):
                    pass
        sends = threading.Event()

        def stalled():
            sends.wait(SECONDS)
            yield b""

        call = channel.stream_unary(f"/{SERVICE}/ServerLive")
        try:  # a few may wait, for they cost nobody anything
            calls = [call.future(stalled(), timeout=SECONDS) for _ in range(40)]
            eventually(lambda: sum(one.done() for one in calls) >= 8)
            codes = {one.code() for one in calls if one.done()}
            assert codes == {CODE.DEADLINE_EXCEEDED}
            assert Client(channel, SERVICE)("ServerLive").live
        finally:
            sends.set()
        eventually(lambda: all(one.done() for one in calls))
        text = running.dataplane.metrics.text().decode()
        assert 'rejections_total{reason="deadline"} 8.0' in text


def test_stopping_waits_for_what_is_under_way(store):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with grpc_server(store, Limits(delay_seconds=0.5), grace=9) as running:
            channel = grpc.insecure_channel(running.target)
            waiting = pool.submit(Client(channel, SERVICE), "ModelInfer", **INFER)
            eventually(lambda: len(running.dataplane.find("digits").batcher))
            began = time.monotonic()
        assert time.monotonic() - began < 8
        np.testing.assert_allclose(probabilities(waiting.result(9)), expected(ONE), atol=1e-5)
        assert failure(Client(channel, SERVICE), "ServerLive")[0] == CODE.UNAVAILABLE
        channel.close()


def test_stopping_ends_streams_that_wait_for_their_client(store):
    with (
        concurrent.futures.ThreadPoolExecutor(2) as pool,
        contextlib.ExitStack() as channels,
    ):
        more = threading.Event()

        def requests():
            yield message("inference.ModelInferRequest")(**INFER)
            more.wait(SECONDS)

        with grpc_server(store, grace=9) as running:
            channel = channels.enter_context(grpc.insecure_channel(running.target))
            stream = Client(channel, SERVICE).stream("ModelStreamInfer", requests())
            np.testing.assert_allclose(
                probabilities(next(stream).infer_response), expected(ONE), atol=1e-5
            )
            watch = channel.unary_stream(f"/{grpc_health.SERVICE}/Watch")(b"", timeout=SECONDS)
            next(watch)
            ends = pool.submit(failure, next, stream), pool.submit(list, watch)
            began = time.monotonic()
        assert time.monotonic() - began < 8
        more.set()
        assert ends[0].result(9)[0] == CODE.UNAVAILABLE
        assert len(ends[1].result(9)) <= 1


def test_the_command_serves_grpc_beside_http_quietly_and_stops_when_told(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/serving").symlink_to(store)
    port = free_port()
    with server(tmp_path / "out", "--grpc-port", str(port)) as (_, process, _):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = Client(channel, SERVICE)("ModelInfer", **INFER)
            np.testing.assert_allclose(probabilities(answer), expected(ONE), atol=1e-5)
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while client.recv(4096):
                pass
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in errors.splitlines()] == ["serves", "stopping"]
