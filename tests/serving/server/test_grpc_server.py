"""The gRPC server itself: errors, tokens, TLS, loading, starting and stopping."""

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

from serving.server import grpc_health
from serving.server.grpc_server import Options, start
from serving.server.limits import Limits
from serving.server.oip_grpc import SERVICE
from serving.server.protos.pool import message
from tests.helpers.grpc_servers import (
    INFER,
    ONE,
    SECONDS,
    Client,
    eventually,
    failure,
    grpc_server,
    probabilities,
)
from tests.helpers.serving_fixtures import expected, free_port, server

CODE = grpc.StatusCode


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
        assert failure(ask, "RepositoryModelLoad", model_name="faces")[0] == CODE.NOT_FOUND
        parameters = {"config": {"string_param": "{}"}}
        code, details = failure(
            ask, "RepositoryModelLoad", model_name="digits", parameters=parameters
        )
        assert code == CODE.INVALID_ARGUMENT and "without parameters" in details
        ask("RepositoryModelLoad", model_name="digits")
        assert ask("ModelReady", name="digits").ready


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
