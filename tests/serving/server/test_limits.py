"""Clients that are slow, idle, or too many, to a real server: closed in time, and nobody waits."""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator

import pytest

from serving.store.store import Store
from tests.helpers.hostile_requests import GOOD
from tests.helpers.raw_http import Client, message
from tests.helpers.serving_fixtures import digits_release, server

SECONDS = {"header": 1, "body": 2, "idle": 2}
SLACK = 3.0
"""Of a machine that does other things as well; the server itself looks four times a second."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    directory = tmp_path_factory.mktemp("limits")
    Store(directory / "out/serving").publish("digits", digits_release(directory / "source"))
    return directory / "out"


@pytest.fixture(scope="module")
def serving(root):
    """(port, process) of a server with short times."""
    times = [f"--{name}-seconds={seconds}" for name, seconds in SECONDS.items()]
    with server(root, "--threads=1", "--connections=1000", *times) as (base, process, _):
        yield int(base.rpartition(":")[2]), process


@contextlib.contextmanager
def good_requests(port: int) -> Iterator[list[float]]:
    """Asks one after the other meanwhile; the seconds that each took. All must be answered."""
    took: list[float] = []
    problems: list[object] = []
    over = threading.Event()

    def ask() -> None:
        try:
            while not over.is_set():
                started = time.monotonic()
                with Client(port) as client:
                    client.send(GOOD)
                    answer = client.answer()
                if answer is None or answer.status != 200:
                    problems.append(answer)
                took.append(time.monotonic() - started)
                time.sleep(0.01)
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join(20)
    assert not problems and took


def memory(process) -> int:
    """Bytes that the process holds."""
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024


def gauge(port: int, name: str) -> float:
    with Client(port) as client:
        client.send(message("/metrics", connection="close"))
        text = client.answer().body.decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))


async def _open(
    few: asyncio.Semaphore, port: int, data: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, float]:
    """A connection on which `data` was sent at once, and when: `few` are opened together, for
    hundreds would take this process longer than the server has patience."""
    async with few:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        return reader, writer, time.monotonic()


async def _slow(few: asyncio.Semaphore, port: int, data: bytes) -> tuple[int, float]:
    """Sends one byte a second of `data`; (status, seconds until the answer)."""
    reader, writer, started = await _open(few, port, data[:1])

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for byte in data[1:]:
                await asyncio.sleep(1)
                writer.write(bytes([byte]))

    sending = asyncio.create_task(send())
    line = await asyncio.wait_for(reader.readline(), 20)
    seconds = time.monotonic() - started
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 20)
    sending.cancel()
    writer.close()
    return int(line.split()[1]) if line else 0, seconds


async def _slow_body(few: asyncio.Semaphore, port: int) -> tuple[int, float]:
    head, _, body = GOOD.partition(b"\r\n\r\n")
    reader, writer, started = await _open(few, port, head + b"\r\n\r\n")
    for byte in body:
        with contextlib.suppress(ConnectionError):
            writer.write(bytes([byte]))
        try:
            line = await asyncio.wait_for(reader.readline(), 1)
            break
        except TimeoutError:
            assert time.monotonic() - started < 20
    seconds = time.monotonic() - started
    writer.close()
    return int(line.split()[1]), seconds


async def _idle(few: asyncio.Semaphore, port: int, data: bytes = b"") -> tuple[int, float]:
    """Sends `data`, reads what is answered, and does nothing more."""
    reader, writer, started = await _open(few, port, data)
    answer = await asyncio.wait_for(reader.read(), 20)
    seconds = time.monotonic() - started
    writer.close()
    return int(answer.split()[1]) if answer else 0, seconds


@pytest.mark.parametrize(
    ("slow", "idle"), [(20, 50), pytest.param(200, 500, marks=pytest.mark.full)]
)
def test_slow_and_idle_clients_are_closed_in_time_while_others_are_answered(serving, slow, idle):
    port, process = serving
    before = memory(process)

    async def clients() -> list[list[tuple[int, float]]]:
        few = asyncio.Semaphore(20)
        kinds = [
            [_slow(few, port, GOOD) for _ in range(slow // 2)],
            [_slow_body(few, port) for _ in range(slow // 2)],
            [_idle(few, port) for _ in range(idle // 2)],
            [_idle(few, port, GOOD) for _ in range(idle // 2)],
        ]
        done = [asyncio.gather(*kind) for kind in kinds]
        return [await kind for kind in done]

    with good_requests(port) as took:
        headers, bodies, silent, asked = asyncio.run(clients())
    for found, status, seconds in (
        (headers, 408, SECONDS["header"]),
        (bodies, 408, SECONDS["body"]),
        (silent, 0, SECONDS["header"]),
        (asked, 200, SECONDS["idle"]),
    ):
        assert {answered for answered, _ in found} == {status}
        times = [ended for _, ended in found]
        assert seconds - 0.5 < min(times) and max(times) < seconds + SLACK
    assert max(took) < SLACK
    assert memory(process) - before < 50 * 2**20
    assert gauge(port, "darkroom_rejections_total") >= slow


def test_the_connection_over_the_limit_is_told_so_and_there_is_room_when_another_ends(root):
    with server(root, "--threads=1", "--connections=4") as (base, _, _):
        port = int(base.rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(port)) for _ in range(4)]
            for client in clients:
                client.send(GOOD)
                assert client.answer().status == 200
            for _ in range(20):
                with Client(port) as client:
                    client.send(GOOD)
                    answer = client.answer()
                assert answer.status == 503 and answer.closes
                assert "as many connections" in answer.error
                assert int(answer.headers["retry-after"]) > 0
            for client in clients:
                client.send(GOOD)
                assert client.answer().status == 200
            clients[0].close()
            assert answered_within(port, 5)
        assert answered_within(port, 5)


def answered_within(port: int, seconds: float) -> bool:
    """Whether a new connection is served by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with Client(port) as client:
            client.send(GOOD)
            if client.answer().status == 200:
                return True
        time.sleep(0.05)
    return False


def test_clients_that_take_no_answers_are_cut_off_and_cost_little(serving):
    port, process = serving
    before = memory(process)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [64, 8, 8, 1], "data": [0] * 4096}
    outputs = [{"name": "probabilities", "parameters": {"classification": 10}}]
    body = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    large = message("/v2/models/digits/infer", "POST", body)  # the answer has 10 KB
    with good_requests(port) as took, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port, receive=2048)) for _ in range(5)]
        for client in clients:
            client.socket.settimeout(0.01)
        cut, started = set(), time.monotonic()
        while len(cut) < len(clients) and time.monotonic() - started < 15:
            for number, client in enumerate(clients):
                try:
                    client.socket.sendall(large * 50)
                except TimeoutError:
                    pass  # the server reads nothing more
                except OSError:
                    cut.add(number)
        assert len(cut) == len(clients)
    assert max(took) < SLACK
    assert memory(process) - before < 100 * 2**20


def test_floods_of_requests_headers_and_bodies_cost_little(serving):
    port, process = serving
    before = memory(process)
    endless = [
        GOOD * 100,
        b"GET /v2 HTTP/1.1\r\nA: " + b"b" * 100_000,
        b"POST /v2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"b" * 9**6,
        b"\r\n" * 50_000,
    ]
    with good_requests(port) as took, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(20)]
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for number, client in enumerate(clients):
                client.socket.settimeout(0.01)
                with contextlib.suppress(OSError):
                    client.socket.sendall(endless[number % len(endless)])
        assert memory(process) - before < 100 * 2**20
    assert max(took) < SLACK


def test_bodies_of_millions_of_values_are_refused_at_once(serving):
    port, process = serving
    before = memory(process)
    text = b'{"inputs":[' + b"[]," * 4_000_000 + b"[]]}"
    bodies = [message("/v2/models/digits/infer", "POST", text)]
    bodies.append(message("/v1/models/digits:predict", "POST", text))
    with good_requests(port) as took, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port, timeout=20)) for _ in range(6)]
        sending = [
            threading.Thread(target=client.send, args=[bodies[number % 2]])
            for number, client in enumerate(clients)
        ]
        for thread in sending:
            thread.start()
        for client in clients:
            answer = client.answer()
            assert answer.status == 413 and "values" in answer.error
        for thread in sending:
            thread.join(20)
    assert max(took) < SLACK
    assert memory(process) - before < 300 * 2**20
