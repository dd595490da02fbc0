"""What a client may not do to the gRPC server, by mistake or on purpose."""

import concurrent.futures
import socket
import threading

import grpc
import numpy as np
import pytest

from serving.server import grpc_health
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
from tests.helpers.serving_fixtures import expected

CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def running(store):
    with grpc_server(store, Limits(body_bytes=100_000)) as server:
        yield server


def test_a_message_over_the_limit_is_refused_and_the_next_is_answered(channel):
    ask = Client(channel, SERVICE)
    code, details = failure(ask, "ModelInfer", **INFER | {"raw_input_contents": [b"0" * 100_000]})
    assert code == CODE.RESOURCE_EXHAUSTED and "100000" in details
    np.testing.assert_allclose(probabilities(ask("ModelInfer", **INFER)), expected(ONE), atol=1e-5)


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
