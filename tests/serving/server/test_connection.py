"""One HTTP connection: the order of answers, when it goes on, and what of a client is believed."""

import asyncio
import contextlib
import ssl
import subprocess
import threading
import time

import pytest

from serving.server import connection
from serving.server.limits import Limits
from serving.server.messages import Request, Response
from tests.helpers.listening import serve
from tests.helpers.raw_http import Client, message

GET = message("/a")


async def echo(request: Request) -> Response:
    """Path and body; `/slow` takes a while."""
    if request.path == "/slow":
        await asyncio.sleep(0.5)
    return Response(request.path.encode() + b" " + request.body, close=request.path == "/last")


class Held:
    """A handler whose requests wait until they are let go, or their client has left."""

    def __init__(self) -> None:
        self.started, self.left = threading.Semaphore(0), threading.Semaphore(0)
        self.let_go = asyncio.Event()
        self.count = 0

    async def __call__(self, request: Request) -> Response:
        self.count += 1
        self.started.release()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.left.release()
            raise
        return Response(request.body or b"done")


@contextlib.contextmanager
def client(handler=echo, limits=None, tls=None):
    with serve(handler, limits or Limits(drain_seconds=1), tls) as server:
        with Client(server.port) as made:
            yield made


def bodies(client: Client) -> list[tuple[int, bytes]]:
    """Of all answers until the end of the connection."""
    return [(answer.status, answer.body) for answer in iter(client.answer, None)]


def test_a_connection_goes_on_and_ends_as_the_request_says():
    with client() as asked:
        for _ in range(3):
            asked.send(GET)
            answer = asked.answer()
            assert answer.body == b"/a " and "connection" not in answer.headers
        asked.send(message("/a", connection="close"))
        assert asked.answer().closes and asked.closed()


def test_http_1_0_ends_the_connection_unless_it_asks_to_keep_it():
    with client() as asked:
        asked.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert asked.answer().headers["connection"] == "keep-alive"
        asked.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert asked.answer().closes and asked.closed()


def test_a_handler_may_end_the_connection():
    with client() as asked:
        asked.send(message("/last") + GET)
        assert asked.answer().closes and asked.closed()


def test_head_is_answered_like_get_without_the_body():
    with client() as asked:
        asked.send(message("/abc", "HEAD") + GET)
        head, get = asked.answer(head=True), asked.answer()
        assert (head.headers["content-length"], head.body, get.body) == ("5", b"", b"/a ")


def test_a_client_that_ends_its_side_is_still_answered():
    with client() as asked:
        asked.send(message("/slow") + GET)
        asked.end()
        assert bodies(asked) == [(200, b"/slow "), (200, b"/a ")]


def test_a_client_that_has_left_frees_what_it_waited_for(monkeypatch):
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.2)
    held = Held()
    with client(held) as asked:
        asked.send(GET * 3)
        assert held.started.acquire(timeout=5)
    assert held.left.acquire(timeout=5)
    assert held.count == 1


def test_requests_that_were_sent_at_once_are_answered_in_turn_up_to_the_one_that_is_none():
    with client() as asked:
        post = message("/p", "POST", b"body")
        asked.send(message("/slow") + post * 400 + b"junk\r\n\r\n" + post)
        *before, last = bodies(asked)
    assert before == [(200, b"/slow ")] + [(200, b"/p body")] * 400
    assert last[0] == 400 and b"not HTTP/1.1" in last[1]


def test_a_refusal_waits_for_the_answer_before_it_however_long_that_takes(monkeypatch):
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.1)
    with client() as asked:
        asked.send(message("/slow") + b"junk\r\n\r\n")
        assert [status for status, _ in bodies(asked)] == [200, 400]


def test_a_body_may_come_in_any_pieces_and_in_chunks():
    body = bytes(range(256)) * 300
    whole = message("/p", "POST", body)
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in [body[:1], body[1:]])
    head = b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with client() as asked:
        for data in (whole, head + chunks + b"0\r\nTrailer: x\r\n\r\n", whole):
            for start in range(0, len(data), 7_777):
                asked.send(data[start : start + 7_777])
                time.sleep(0.001)
            assert asked.answer().body == b"/p " + body


def test_a_request_like_the_one_before_is_told_from_it_by_every_byte():
    post = message("/p", "POST", b"ab1234")
    with client() as asked:
        for line_ends in (b"", b"\r\n", b"\r\n\r\n"):
            for before in (True, False):
                for body in (b"ab1234", b"ab5678", b"ab\r\n\r\n", b"\r\nabcd"):
                    data = post[:-6] + body
                    asked.send(line_ends + data if before else data + line_ends)
                    assert asked.answer().body == b"/p " + body
        asked.send(post.replace(b"/p", b"/q"))
        assert asked.answer().body == b"/q ab1234"
        asked.send(post[:-1])
        time.sleep(0.05)
        asked.send(b"4" + post)
        assert [asked.answer().body for _ in range(2)] == [b"/p ab1234"] * 2


def test_leave_to_send_a_body_is_given_in_turn_and_not_for_what_is_refused():
    head = b"POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with client(limits=Limits(body_bytes=1000, drain_seconds=1)) as asked:
        asked.send(message("/slow") + head % 4)
        assert asked.socket.recv(15) == b"HTTP/1.1 200 OK"
        data = b""
        while b"100 Continue\r\n\r\n" not in data:
            data += asked.socket.recv(1000)
        asked.send(b"body")
        assert asked.answer().body == b"/p body"
        asked.send(head % 1001)
        assert asked.socket.recv(12) == b"HTTP/1.1 413"


def test_an_offer_to_upgrade_is_declined_by_answering():
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AA"}
    with client() as asked:
        asked.send(message("/p", "POST", b"body", **offer))
        assert asked.answer().body == b"/p body"
        asked.send(message("/a", **offer) * 200 + message("/p", "POST", b"body", **offer) * 200)
        answers = [asked.answer().body for _ in range(400)]
        assert answers == [b"/a "] * 200 + [b"/p body"] * 200


def test_answers_are_not_computed_while_the_client_takes_none():
    computed = 0

    async def large(request: Request) -> Response:
        nonlocal computed
        computed += 1
        return Response(bytes(100_000))

    with serve(large, Limits(body_seconds=1, drain_seconds=1)) as server:
        with Client(server.port, receive=4096) as asked:
            asked.socket.settimeout(1.5)
            with pytest.raises((TimeoutError, ConnectionError)):
                for _ in range(100):
                    asked.socket.sendall(GET * 10_000)
            assert computed < 100  # what the kernel takes for it, some MB
            deadline = time.monotonic() + 5
            while len(server.listening) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not len(server.listening)


def test_what_a_client_sends_waits_unread_while_its_requests_do():
    held = Held()
    with client(held) as asked:
        asked.socket.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 50_000_000:
                sent += asked.socket.send(GET * 10_000)
        assert held.count == 1 and sent < 20_000_000  # in the kernel's buffers


def test_bodies_are_counted_until_they_are_answered_or_their_client_has_left(monkeypatch):
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.2)
    held, post = Held(), message("/p", "POST", bytes(4000))
    limits = Limits(body_bytes=8000, bodies_bytes=10_000, drain_seconds=1)
    with serve(held, limits) as server:
        with Client(server.port) as first, Client(server.port) as second:
            first.send(post)
            second.send(post)
            assert held.started.acquire(timeout=5) and held.started.acquire(timeout=5)
            assert server.listening.held == 8000
            with Client(server.port) as third:
                third.send(post)
                assert third.answer().status == 503 and server.rejected == ["memory"]
            second.close()
            assert held.left.acquire(timeout=5)
            server.call(held.let_go.set)
            assert first.answer().body == bytes(4000)
            with Client(server.port) as third:
                third.send(post[:-1])
                third.send(post[-1:] + post[:-1])
                assert third.answer().status == 200
        deadline = time.monotonic() + 5
        while server.listening.held and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.listening.held == 0


def test_requests_that_have_arrived_when_the_server_stops_are_answered():
    with serve(echo, Limits(drain_seconds=5)) as server:
        with Client(server.port) as busy, Client(server.port) as idle:
            idle.send(GET)
            assert idle.answer().status == 200
            busy.send(message("/slow") + GET * 3)
            time.sleep(0.2)
            server.call(lambda: server.loop.create_task(server.listening.stop(5)))
            assert [status for status, _ in bodies(busy)] == [200] * 4
            assert idle.closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split()
    command += ["-subj", "/CN=localhost", "-days", "1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


def test_over_tls_it_is_the_same_and_a_silent_handshake_ends(certificate, monkeypatch):
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.2)
    limits = Limits(header_seconds=1, body_seconds=1, idle_seconds=1, drain_seconds=1)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def connect(port: int) -> Client:
        made = Client(port)
        made.socket = trusting.wrap_socket(made.socket)
        made._stream = made.socket.makefile("rb")
        return made

    with serve(echo, limits, certificate) as server:
        with connect(server.port) as asked, Client(server.port) as silent:
            body = bytes(300_000)
            asked.send(message("/p", "POST", body) + GET * 100)
            assert asked.answer().body == b"/p " + body
            assert [asked.answer().status for _ in range(100)] == [200] * 100
            started = time.monotonic()
            assert asked.closed() and silent.closed()
            assert time.monotonic() - started < 5
        with connect(server.port) as asked:
            asked.send(b"GET /a")
            assert asked.answer().status == 408 and asked.closed()
        with connect(server.port) as asked:
            asked.send(b"junk\r\n\r\n")
            assert asked.answer().status == 400 and asked.closed()
