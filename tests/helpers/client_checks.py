"""What every client of the server must do, whatever its language: its command against a running
server, compared with the model in this process."""

import contextlib
import dataclasses
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from serving.contract.image_spec import decode
from serving.inference.model import Model
from serving.store.store import Store
from tests.helpers.colour_release import colour_release
from tests.helpers.serving_fixtures import digits, digits_release, free_port, server

TOKEN = "only-for-those-who-know"


@dataclasses.dataclass(frozen=True)
class Service:
    """A running server of the models digits and colours, which asks for TOKEN."""

    url: str
    models: dict[str, Model]
    images: list[Path]

    def expected(self, model: str, image: Path, top: int) -> list[tuple[str, float]]:
        """(label, probability) by the model in this process, the most probable first."""
        found = self.models[model]
        probabilities = found.infer(decode(image.read_bytes(), found.spec)[None])[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(found.labels[index], float(probabilities[index])) for index in best]


@contextlib.contextmanager
def service(directory: Path) -> Iterator[Service]:
    """Starts one, with pictures of several sizes, types and colours."""
    store = Store(directory / "out/serving")
    store.publish("digits", digits_release(directory / "digits", scale=30, golden_scale=30))
    store.publish("colours", colour_release(directory / "colours"))
    models = {name: Model(store.select(name)) for name in ("digits", "colours")}
    (directory / "token").write_text(TOKEN)
    arguments = ("--threads", "1", "--token-file", str(directory / "token"))
    with server(directory / "out", *arguments) as (url, _, _):
        yield Service(url, models, _pictures(directory))


def _pictures(directory: Path) -> list[Path]:
    pictures = []
    for number in (0, 7, 12):
        pictures.append(directory / f"digit {number}.png")
        Image.fromarray(digits()[0][number, :, :, 0]).save(pictures[-1])
    noise = np.random.default_rng(1).integers(0, 256, (90, 140, 3), np.uint8)
    for name in ("it's noise.jpg", "noise.webp", "noise.gif"):
        pictures.append(directory / name)
        Image.fromarray(noise).resize((70, 90)).save(pictures[-1])
    return pictures


def check_command(service: Service, *command: str) -> None:
    """That `command ARGUMENTS` prints what it should, and fails as it should."""
    for model, top in (("digits", 3), ("colours", 2), ("digits", 10)):
        done = _run(*command, service.url, model, *service.images, "--top", top, "--token", TOKEN)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert len(lines) == len(service.images)
        for line, image in zip(lines, service.images):
            expected = service.expected(model, image, top)
            assert line.startswith(f"{image}: ")
            shares = re.findall(r"(\w+) (\d\.\d{4})(?:, |$)", line.removeprefix(f"{image}: "))
            assert [label for label, _ in shares] == [label for label, _ in expected]
            for (_, share), (_, probability) in zip(shares, expected):
                assert abs(float(share) - probability) < 5.1e-5

    first = service.images[0]
    assert (
        len(_run(*command, service.url, "digits", first, "--token", TOKEN).stdout.split(",")) == 3
    )
    done = _run(*command, service.url, "digits", first, environment_token=TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    failed = _run(
        *command, service.url, "digits", first, "--token", "wrong", environment_token=TOKEN
    )
    assert failed.returncode == 1 and "the server expects its token" in failed.stderr
    with _answering(b'{"classes":[{"label":"a","index":0,"probability":null}]}') as url:
        done = _run(*command, url, "digits", first)
    assert (done.returncode, done.stdout.lower()) == (0, f"{first}: a nan\n".lower()), done.stderr

    text = first.with_name("notes.txt")
    text.write_text("no picture")
    for arguments, sentence in {
        (service.url, "digits", first): "the server expects its token",
        (service.url, "digits", first, "--token", "wrong"): "the server expects its token",
        (service.url, "cats/dogs", first, "--token", TOKEN): "cats/dogs",
        (service.url, "digits", text, "--token", TOKEN): "they are not an image",
        (service.url, "digits", first, "--top", "0", "--token", TOKEN): "top is '0'",
        (f"http://127.0.0.1:{free_port()}", "digits", first): "gives no answer",
        (service.url, "digits", first.with_name("absent.png"), "--token", TOKEN): "absent.png",
    }.items():
        failed = _run(*command, *arguments)
        assert (failed.returncode, failed.stdout) == (1, ""), arguments
        assert sentence in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr


@contextlib.contextmanager
def _answering(body: bytes) -> Iterator[str]:
    """The URL of a server that answers every request with `body`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()


def _run(*command: object, environment_token: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command],
        env=os.environ | {"DARKROOM_TOKEN": environment_token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
