"""`python -m serving`, started as a user starts it and asked over the network."""

import concurrent.futures
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import numpy as np
import pytest

from serving.contract.image_spec import ImageSpec, fit
from serving.store.store import Store
from tests.helpers.serving_fixtures import (
    REPOSITORY,
    digits,
    digits_release,
    expected,
    fitted_stores,
    free_port,
    odd_pictures,
    request,
    run,
    server,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    source = digits_release(directory / "source")
    store = Store(directory / "out/serving")
    store.publish("digits", source)
    store.publish("digits", source)
    return directory / "out"


@pytest.fixture(scope="module")
def url(root):
    with server(root, "--threads", "1") as (base, _, line):
        assert line == f"{base}/v2/models/digits serves version 2 on CPU\n"
        yield base


def infer_body(images) -> bytes:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
    return json.dumps({"id": "7", "inputs": [tensor | {"data": images.ravel().tolist()}]}).encode()


def test_health_and_server_metadata(url):
    assert request(f"{url}/v2/health/live") == (200, {"live": True})
    status, ready = request(f"{url}/v2/health/ready")
    assert (status, ready["ready"]) == (200, True)
    status, about = request(f"{url}/v2")
    assert (status, about["name"]) == (200, "darkroom")
    assert "binary_tensor_data" in about["extensions"]


@pytest.mark.parametrize("path", ["/v2/models/digits", "/v2/models/digits/versions/2"])
def test_a_model_is_described_ready_and_answers(url, path):
    status, described = request(url + path)
    assert status == 200
    assert (described["name"], described["versions"]) == ("digits", ["2"])
    assert described["inputs"][0]["shape"] == [-1, 8, 8, 1]
    assert request(f"{url}{path}/ready") == (200, {"name": "digits", "ready": True})
    images = digits()[0][:5]
    status, response = request(f"{url}{path}/infer", infer_body(images))
    assert (status, response["id"], response["model_version"]) == (200, "7", "2")
    received = np.reshape(response["outputs"][0]["data"], response["outputs"][0]["shape"])
    np.testing.assert_allclose(received, expected(images), atol=1e-5)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (
            "/v2/models/digit",
            None,
            404,
            "unknown model: 'digit' is not found; did you mean digits?",
        ),
        (
            "/v2/models/faces/infer",
            b"{}",
            404,
            "unknown model: 'faces' is not found; served: digits.",
        ),
        ("/v2/models/digits/versions/1", None, 404, "version 1 of digits is not served"),
        ("/v2/models/digits/versions/x/infer", b"{}", 404, "version x of digits"),
        ("/v2/models/digits/infer", b"{}", 400, "inputs is missing"),
        ("/v2/models/digits/infer", b"junk", 400, "not JSON"),
        ("/v2/models/digits/infer", None, 405, "Method Not Allowed"),
        ("/v2/models/digits", b"{}", 405, "Method Not Allowed"),
        ("/v2/health", None, 404, "Not Found"),
        ("/v2/models/digits/classify?top=0", b"", 400, "expected a number of classes"),
        ("/v2/models/digits/classify?top=" + "9" * 5000, b"", 400, "a number of classes"),
        ("/v2/trace/setting", None, 501, "not offered"),
        ("/v2/models/digits/trace/setting", b"{}", 501, "not offered"),
        ("/v2/logging", None, 501, "not offered"),
        ("/v2/systemsharedmemory/region/x/register", b"{}", 501, "not offered"),
        ("/v2/repository/models/digits/load", b"{}", 403, "start it with --allow-load"),
        ("/v2/repository/models/digits/load", b'{"parameters": false}', 400, "a boolean, not an"),
        ("/v2/repository/models/digits/unload", b"", 403, "start it with --allow-load"),
    ],
)
def test_what_is_wrong_is_said_with_its_status(url, path, body, status, message):
    received, answer = request(url + path, body)
    assert received == status
    assert answer.keys() == {"error"} and message in answer["error"]


def test_the_length_of_json_is_not_ignored_because_the_content_type_is_an_images(url):
    headers = {"content-type": "image/png", "inference-header-content-length": "two"}
    status, answer = request(f"{url}/v2/models/digits/infer", b"a file", **headers)
    assert status == 400 and "expected a number up to the body's 6 bytes" in answer["error"]


def test_too_many_images_are_413(url):
    status, answer = request(
        f"{url}/v2/models/digits/infer", infer_body(np.zeros((65, 8, 8, 1), np.uint8))
    )
    assert status == 413 and "65 images in one request, at most 64" in answer["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_whether_or_not_it_names_its_length(url, chunked):
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    content = iter([b" " * 2**20] * 17) if chunked else b" " * (17 * 2**20)
    connection.request("POST", "/v2/models/digits/infer", content, encode_chunked=chunked)
    response = connection.getresponse()
    assert response.status == 413 and "16777216 bytes" in json.loads(response.read())["error"]
    connection.close()
    assert request(f"{url}/v2/health/live")[0] == 200


def test_a_client_that_leaves_in_the_middle_does_no_harm(url):
    address = urllib.parse.urlsplit(url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(
                b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n{"
            )
    assert request(f"{url}/v2/health/live")[0] == 200


def test_many_clients_are_answered_and_so_is_health_meanwhile(url):
    images = digits()[0]
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        futures = {
            clients.submit(request, f"{url}/v2/models/digits/infer", infer_body(part)): part
            for part in np.split(images[:1280], 40)
        }
        while not all(future.done() for future in futures):
            assert request(f"{url}/v2/health/live")[0] == 200
    for future, part in futures.items():
        status, response = future.result()
        assert status == 200
        received = np.reshape(response["outputs"][0]["data"], (len(part), 10))
        np.testing.assert_allclose(received, expected(part), atol=1e-5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_when_told(root, number):
    with server(root) as (base, process, _):
        assert request(f"{base}/v2/health/ready")[0] == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "")
    events = [json.loads(line) for line in errors.splitlines()]
    assert [event["event"] for event in events] == ["serves", "stopping"]
    assert events[-1]["signal"] == number.name


def start_fails(*arguments) -> str:
    result = run("-m", "serving", *arguments)
    assert (result.returncode, result.stdout) == (2, ""), result
    *_, line = result.stderr.splitlines()
    assert line.startswith("error: "), result.stderr
    return line


def test_what_keeps_it_from_starting_is_one_line(root, url, tmp_path):
    port = url.rpartition(":")[2]
    assert f"127.0.0.1:{port}: Address already in use" in start_fails(
        "--root", root, "--port", port
    )
    free = str(free_port())
    assert "did you mean digits?" in start_fails("--root", root, "--model", "digit")
    assert "there is no release in" in start_fails("--root", tmp_path, "--port", free)
    assert "cannot listen on" in start_fails("--root", root, "--host", "203.0.113.1", "--insecure")
    assert "can be reached from other machines" in start_fails("--root", root, "--host", "0.0.0.0")


def test_of_two_servers_started_at_once_on_one_port_one_is_refused(root):
    command = [sys.executable, "-m", "serving", "--root", root, "--port", str(free_port())]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    servers = [subprocess.Popen(command, cwd=REPOSITORY, **pipes) for _ in range(2)]
    try:
        wait = time.monotonic() + 30
        while all(process.poll() is None for process in servers) and time.monotonic() < wait:
            time.sleep(0.05)
        (refused,) = [process for process in servers if process.poll() is not None]
        assert refused.returncode == 2 and "Address already in use" in refused.stderr.read()
        (serving,) = [process for process in servers if process is not refused]
        assert "serves version 2" in serving.stdout.readline()
    finally:
        for process in servers:
            process.terminate()
            process.communicate(timeout=20)


def test_it_refuses_a_release_that_changed_or_does_not_repeat_its_golden_outputs(tmp_path):
    store = Store(tmp_path / "out/serving")
    store.publish("digits", digits_release(tmp_path / "wrong", scale=1.01))
    arguments = ("--root", tmp_path / "out", "--port", str(free_port()))
    assert "does not give its golden outputs" in start_fails(*arguments)
    (store.current("digits").path / "labels.txt").write_text("tampered")
    assert "labels.txt was altered" in start_fails(*arguments)


def test_files_of_any_shape_are_fitted_as_the_contract_says(tmp_path):
    pictures = odd_pictures(tmp_path)
    with server(fitted_stores(tmp_path), "--threads", "1") as (base, _, _):
        for how in ("crop", "stretch", "pad"):
            for path, picture in pictures.items():
                body = path.read_bytes()
                status, answer = request(f"{base}/v2/models/{how}/classify?top=10", body)
                assert status == 200, answer
                found = {c["index"]: c["probability"] for c in answer["classes"]}
                pixels = fit(picture, ImageSpec(8, 8, 1, fit=how))[None]
                right = expected(pixels)[0]
                np.testing.assert_allclose([found[i] for i in range(10)], right, atol=1e-5)


def test_help_imports_nothing_heavy():
    script = (
        "import sys, serving.__main__, serving.predict.__main__, serving.store.__main__\n"
        "heavy = {'numpy', 'PIL', 'onnxruntime', 'httptools', 'uvloop', 'grpc', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run("-c", script).stdout == "[]\n"
    shown = run("-m", "serving", "--help")
    assert shown.returncode == 0 and "--port" in shown.stdout


def test_no_training_framework_is_ever_imported(root):
    script = (
        "import sys\n"
        "for name in ('tensorflow', 'tfx', 'torch', 'keras', 'onnx', 'pydantic', 'rich'):\n"
        "    sys.modules[name] = None\n"
        "import serving.server.run, serving.predict.run, serving.__main__\n"
        "from serving.inference.model import Model\n"
        "from serving.store.store import Store\n"
        "print(Model(Store(sys.argv[1]).select()).version)"
    )
    result = run("-c", script, root / "serving")
    assert (result.returncode, result.stdout) == (0, "2\n"), result.stderr


def test_the_version_is_the_projects():
    import tomllib

    from serving import __version__
    from tests.helpers.serving_fixtures import REPOSITORY

    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == __version__
