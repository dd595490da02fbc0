"""A server under load: versions change beneath it, it is told to stop, or asked for too much."""

import concurrent.futures
import functools
import http.client
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serving.store.store import Store
from tests.helpers.serving_fixtures import (
    digits,
    digits_release,
    expected,
    free_port,
    request,
    server,
)
from tests.helpers.servings import Asking

IMAGES = digits()[0][:3]


def body_of(images: np.ndarray) -> bytes:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
    return json.dumps({"inputs": [tensor | {"data": images.ravel().tolist()}]}).encode()


BODY = body_of(IMAGES)
LONG_BODY = body_of(digits()[0][:24])
"""Its inference takes the slow model long enough to be seen."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two models, told apart by their answers, and one that is not what its golden answers say."""
    directory = tmp_path_factory.mktemp("sources")
    odd = digits_release(directory / "odd", scale=0.5, golden_scale=0.5)
    even = digits_release(directory / "even")
    wrong = digits_release(directory / "wrong", scale=1.01)
    return {1: odd, 0: even, "wrong": wrong}


class Load:
    """Clients that ask all the time; `failures` says what went wrong, `versions` who answered."""

    def __init__(self, http_port: int, grpc_port: int, answers: dict[int, np.ndarray]):
        self._ports = http_port, grpc_port
        self._answers = answers
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.versions: dict[str, int] = {}
        self._threads = [
            threading.Thread(target=self._ask, args=(way,)) for way in ("http", "http", "grpc")
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, way: str) -> None:
        client = Asking(*self._ports)
        while not self._stop.is_set():
            started = time.perf_counter()
            try:
                version, answer = self._http(client) if way == "http" else self._grpc(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
                self.failures.append(f"{way}: {error!r}"[:300])
                continue
            self.versions[version] = self.versions.get(version, 0) + 1
            if not np.allclose(answer, self._answers[int(version) % 2], atol=1e-5):
                self.failures.append(f"{way}: an answer that version {version} does not give")
            time.sleep((time.perf_counter() - started) / 4)  # 80% of what one client can ask
        client.close()

    def _http(self, client: Asking):
        content, _ = client.post("/v2/models/digits/infer", BODY)
        answer = json.loads(content)
        (output,) = answer["outputs"]
        return answer["model_version"], np.reshape(output["data"], output["shape"])

    def _grpc(self, client: Asking):
        tensor = {"name": "image", "datatype": "UINT8", "shape": IMAGES.shape}
        answer = client._grpc(
            "ModelInfer",
            model_name="digits",
            inputs=[tensor],
            raw_input_contents=[IMAGES.tobytes()],
        )
        received = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(len(IMAGES), 10)
        return answer.model_version, received


@pytest.mark.parametrize("swaps", [8, pytest.param(200, marks=pytest.mark.full)])
def test_no_request_fails_and_no_answer_is_anothers_while_versions_change(tmp_path, sources, swaps):
    store = Store(tmp_path / "out/serving")
    store.publish("digits", sources[1])
    answers = {0: expected(IMAGES), 1: expected(IMAGES, scale=0.5)}
    assert not np.allclose(answers[0], answers[1], atol=1e-3)
    grpc_port = free_port()
    with server(tmp_path / "out", "--grpc-port", str(grpc_port), seconds=900) as (base, process, _):
        port = int(base.rpartition(":")[2])
        with Load(port, grpc_port, answers) as load:
            for swap in range(swaps):
                if swap % 4 == 3:
                    wanted = store.rollback("digits").version
                else:
                    number = max(r.version for r in store.releases("digits")) + 1
                    wanted = store.publish("digits", sources[number % 2]).version
                assert served(base, wanted), f"version {wanted} is not served after 2 s"
            before = store.current("digits").version
            while len(store.releases("digits")) % 2 == 0:
                store.publish("digits", sources[(len(store.releases("digits")) + 1) % 2])
            before = store.current("digits").version
            assert served(base, before)
            corrupt = store.publish("digits", sources["wrong"]).version
            time.sleep(2)
            assert request(f"{base}/v2/models/digits")[1]["versions"] == [str(before)]
        assert process.poll() is None
    assert load.failures == []
    assert str(corrupt) not in load.versions
    assert len(load.versions) > swaps // 2 and sum(load.versions.values()) > 10 * swaps


def served(base: str, version: int, seconds: float = 4.0) -> bool:
    """Whether that version is served soon (two seconds on an idle machine)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if request(f"{base}/v2/models/digits")[1]["versions"] == [str(version)]:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A root with a model of which one image takes milliseconds."""
    directory = tmp_path_factory.mktemp("slow")
    Store(directory / "serving").publish("digits", digits_release(directory / "source", work=60))
    return directory


def post(
    port: int,
    body: bytes = BODY,
    timeout: float = 60,
    sent: threading.Semaphore | None = None,
) -> tuple[int, dict, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", "/v2/models/digits/infer", body)
        if sent:
            sent.release()
        response = connection.getresponse()
        return response.status, json.loads(response.read()), dict(response.getheaders())
    finally:
        connection.close()


@pytest.mark.parametrize("turns", [1, pytest.param(20, marks=pytest.mark.full)])
def test_told_to_stop_it_finishes_what_is_under_way_whoever_stalls(slow, turns):
    for _ in range(turns):
        with server(slow, "--drain-seconds", "3", "--threads", "1") as (base, process, _):
            port = int(base.rpartition(":")[2])
            stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
            stalled[0].sendall(b"POST /v2/models/digits/infer HTTP/1.1\r\nhos")
            stalled[1].sendall(b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\n")
            stalled[2].sendall(
                b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"
            )
            with concurrent.futures.ThreadPoolExecutor(8) as clients:
                sent = threading.Semaphore(0)
                asked = [clients.submit(post, port, LONG_BODY, sent=sent) for _ in range(8)]
                # What a client has not even begun to send is not under way.
                assert all(sent.acquire(timeout=30) for _ in asked)
                wait_for(functools.partial(waits, base, 1))
                process.send_signal(signal.SIGTERM)
                answers = [future.result() for future in asked]
            assert [status for status, *_ in answers] == [200] * 8
            assert process.wait(10) == 0
            for connection in stalled:
                connection.close()


def test_a_second_signal_ends_it_at_once(slow):
    with server(slow, "--drain-seconds", "60") as (base, process, _):
        stalled = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])))
        stalled.sendall(
            b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"
        )
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM
        stalled.close()


def test_beyond_what_it_can_some_are_told_to_come_back_and_it_recovers(slow):
    """Thrice as many clients as places to wait, for a while."""
    with server(slow, "--queue", "8", "--threads", "1") as (base, process, _):
        port = int(base.rpartition(":")[2])
        post(port)
        memory = resident(process.pid)
        end = time.monotonic() + 3
        seen: list[tuple[int, float, dict]] = []

        def ask() -> None:
            while time.monotonic() < end:
                started = time.perf_counter()
                status, _, headers = post(port)
                seen.append((status, time.perf_counter() - started, headers))

        clients = [threading.Thread(target=ask) for _ in range(24)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
        statuses = {status for status, *_ in seen}
        assert statuses == {200, 503}
        refused = [headers for status, _, headers in seen if status == 503]
        assert all(headers["retry-after"] == "1" for headers in refused)
        status, answer, _ = post(port)
        assert status == 200 and len(answer["outputs"][0]["data"]) == 30
        assert waiting(base) == 0
        assert resident(process.pid) - memory < 64 * 2**20
        text = metrics(base)
        assert f'darkroom_rejections_total{{reason="queue"}} {float(len(refused))}' in text


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_many_requests_leave_nothing_behind(tmp_path, sources, count):
    Store(tmp_path / "out/serving").publish("digits", sources[0])
    grpc_port = free_port()
    with server(tmp_path / "out", "--grpc-port", str(grpc_port), seconds=900) as (base, process, _):
        client = Asking(int(base.rpartition(":")[2]), grpc_port)
        ways = (client.oip_json, client.oip_binary, client.grpc_raw, client.tf_rows)

        def ask(times: int) -> None:
            for turn in range(times):
                ways[turn % len(ways)](IMAGES)

        ask(1_000)
        before = resident(process.pid)
        ask(count)
        assert resident(process.pid) - before < 8 * 2**20
        files = len(os.listdir(f"/proc/{process.pid}/fd"))
        client.close()
        wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) < files)


def test_which_version_answered_how_often_can_be_read(tmp_path, sources):
    store = Store(tmp_path / "out/serving")
    store.publish("digits", sources[1])
    grpc_port = free_port()
    with server(tmp_path / "out", "--grpc-port", str(grpc_port)) as (base, _, _):
        client = Asking(int(base.rpartition(":")[2]), grpc_port)
        for way in (client.oip_json, client.oip_binary, client.grpc_raw, client.tf_rows):
            way(IMAGES)
        post(int(base.rpartition(":")[2]), b"{}")
        text = metrics(base)
        for protocol, status, count in (
            *(("oip_http", 200, 2), ("oip_http", 400, 1)),
            *(("oip_grpc", 200, 1), ("tf_serving_rest", 200, 1)),
        ):
            labels = f'model="digits",protocol="{protocol}",status="{status}",version="1"'
            assert f"darkroom_requests_total{{{labels}}} {float(count)}" in text
        assert 'darkroom_batch_images_sum{model="digits",version="1"} 12.0' in text
        (row,) = request(f"{base}/v2/models/digits/stats")[1]["model_stats"]
        assert (row["inference_count"], row["execution_count"]) == (12, 4)
        assert row["inference_stats"]["success"]["count"] == 4
        assert row["inference_stats"]["fail"]["count"] == 1
        client.close()


def waits(base: str, requests: int) -> bool:
    return waiting(base) >= requests


def waiting(base: str) -> int:
    (line,) = [x for x in metrics(base).splitlines() if x.startswith("darkroom_queue_requests ")]
    return int(float(line.split()[1]))


def metrics(base: str) -> str:
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def resident(process: int) -> int:
    """Bytes of memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
