"""The Go client: the standard library only, so nothing is downloaded."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from components.base.fingerprint import ROOT
from tests.helpers.client_checks import TOKEN, check_command, service
from tests.helpers.serving_fixtures import digits

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")
FOLDER = ROOT / "serving/clients/go"
_USER = """package main

import ("encoding/json"; "fmt"; "io"; "os"; "darkroom")

func main() {
    pixels, _ := io.ReadAll(os.Stdin)
    client := darkroom.Client{URL: os.Args[1], Model: "digits", Token: os.Args[2]}
    rows, err := client.Infer(pixels, [4]int{len(pixels) / 64, 8, 8, 1})
    if err != nil { fmt.Println(err); os.Exit(1) }
    json.NewEncoder(os.Stdout).Encode(rows)
}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with the command and with `user`, a program of another module."""
    folder = tmp_path_factory.mktemp("go")
    environment = os.environ | {
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    (folder / "user").mkdir()
    (folder / "user/main.go").write_text(_USER)
    (folder / "user/go.mod").write_text(
        f"module user\n\nrequire darkroom v0.0.0\n\nreplace darkroom => {FOLDER}\n"
    )
    for name, source in {"classify": FOLDER, "program": folder / "user"}.items():
        package = "./classify" if name == "classify" else "."
        done = subprocess.run(
            ["go", "build", "-p", "2", "-o", folder / name, package],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    return folder


def test_the_command_prints_the_classes_of_the_model_and_the_errors_of_the_server(
    running, programs
):
    check_command(running, str(programs / "classify"))


def test_a_batch_of_pixels_gives_the_probabilities_of_the_model(running, programs):
    images = digits()[0][:5]
    command = [programs / "program", running.url, TOKEN]
    done = subprocess.run(command, input=images.tobytes(), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stdout
    found = np.array(json.loads(done.stdout))
    np.testing.assert_allclose(found, running.models["digits"].infer(images), atol=1e-6)
    done = subprocess.run(command, input=b"", capture_output=True, text=False, timeout=30)
    assert done.returncode == 1 and b"[0, 8, 8, 1]" in done.stdout
