"""A server that other machines may reach: TLS and a token, or it does not start."""

import http.client
import json
import ssl
import subprocess

import grpc
import pytest

from serving.server.oip_grpc import SERVICE
from serving.store.store import Store
from tests.helpers.grpc_servers import Client
from tests.helpers.serving_fixtures import digits_release, free_port, run, server

TOKEN = "a-token-of-twenty-six-chars"


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A folder with a release, a certificate, its key and a token."""
    folder = tmp_path_factory.mktemp("line")
    Store(folder / "out/serving").publish("digits", digits_release(folder / "source"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    (folder / "token").write_text(TOKEN + "\n")
    return folder


def guarded(folder) -> tuple[str, ...]:
    certificate = ("--tls-certificate", str(folder / "certificate.pem"))
    return (*certificate, "--tls-key", str(folder / "key.pem"), "--token-file", f"{folder}/token")


def test_every_protocol_wants_tls_and_the_token_and_health_only_tls(line):
    grpc_port = free_port()
    arguments = ("--grpc-port", str(grpc_port), *guarded(line))
    with server(line / "out", *arguments) as (base, process, first):
        port = int(base.rpartition(":")[2])
        assert first.startswith(f"https://127.0.0.1:{port}/v2/models/digits serves version 1")
        context = ssl.create_default_context(cafile=str(line / "certificate.pem"))

        def get(path: str, **headers: str) -> tuple[int, dict]:
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            answer = response.status, json.loads(response.read())
            connection.close()
            return answer

        for path in ("/v2/models/digits", "/v1/models/digits", "/v2/models/digits/stats"):
            status, answer = get(path)
            assert status == 401 and "Authorization: Bearer" in answer["error"]
            assert get(path, Authorization="Bearer another-token-of-the-size")[0] == 401
            assert get(path, Authorization=f"Bearer {TOKEN}")[0] == 200
        assert get("/v2/health/ready") == (200, {"live": True, "ready": True})
        root = grpc.ssl_channel_credentials((line / "certificate.pem").read_bytes())
        with grpc.secure_channel(f"localhost:{grpc_port}", root) as channel:
            ask = Client(channel, SERVICE)
            with pytest.raises(grpc.RpcError) as caught:
                ask("ModelMetadata", name="digits")
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
            metadata = [("authorization", f"Bearer {TOKEN}")]
            assert ask("ModelMetadata", metadata, name="digits").versions == ["1"]
        process.terminate()
        output, errors = process.communicate(timeout=20)
    assert TOKEN not in output + errors


def refused(line, *arguments: str) -> str:
    done = run("-m", "serving", "--root", line / "out", "--port", str(free_port()), *arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: "), done
    return done.stderr


def test_what_is_missing_to_be_reached_is_said(line):
    everywhere = ("--host", "0.0.0.0")
    tls, token = guarded(line)[:4], guarded(line)[4:]
    for some in ((), tls, token):
        assert "give --tls-certificate, --tls-key and --token-file, or --insecure" in refused(
            line, *everywhere, *some
        )


def test_wrong_files_are_explained(line, tmp_path):
    tls, token = guarded(line)[:4], guarded(line)[4:]
    assert "need each other" in refused(line, *tls[:2])
    (tmp_path / "short").write_text("short")
    assert "at least 16 ASCII characters" in refused(line, "--token-file", str(tmp_path / "short"))
    assert "cannot be read" in refused(line, "--token-file", str(tmp_path / "absent"))
    swapped = ("--tls-certificate", tls[3], "--tls-key", tls[1])
    assert "are no certificate and its key" in refused(line, *swapped, *token)
    assert "--model names a model twice" in refused(line, "--model", "digits", "--model", "digits")
    assert "expected NAME or NAME@VERSION" in refused(line, "--model", "digits@x")
