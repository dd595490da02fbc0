"""`serving/` deploys alone: copied into an empty folder, with its slim requirements and no more."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.base.fingerprint import ROOT
from serving.store.store import Store
from tests.helpers.serving_fixtures import digits, digits_release, free_port, request, seal

REQUIREMENTS = ROOT / "serving" / "requirements.txt"
SAME = {"onnxruntime": "onnxruntime-gpu"}
"""What stands for a requirement here: the same package, built for more devices."""


def _name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower().replace("_", "-")


TFLITE = "ai-edge-litert"
"""What the requirements name for TFLite, beyond themselves."""


def required() -> list[str]:
    """Names in the slim requirements."""
    lines = REQUIREMENTS.read_text().splitlines()
    return [_name(line) for line in lines if line and not line.startswith("#")]


def closure(waiting: list[str]) -> set[str]:
    """Those distributions and all that they need."""
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        name = SAME.get(name, name)
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            if "extra ==" not in text:
                try:
                    importlib.metadata.version(_name(text))
                except importlib.metadata.PackageNotFoundError:
                    continue  # for another platform or Python
                waiting.append(_name(text))
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A folder with `serving/`, `site/` with links to the slim requirements' packages, and
    `site-tflite/` with those of LiteRT."""
    folder = tmp_path_factory.mktemp("alone")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "serving", folder / "serving", ignore=ignored)
    _link(closure(required()), folder / "site")
    _link(closure([TFLITE]), folder / "site-tflite")
    made = seal(digits_release(folder / "made"), formats=["onnx", "tflite"])
    Store(folder / "out" / "serving").publish("digits", made)
    return folder


def _link(names: set[str], site: Path) -> None:
    site.mkdir()
    for name in names:
        for file in importlib.metadata.files(name) or ():
            top = file.parts[0]
            target = site / top
            if top not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(Path(file.locate()).parents[len(file.parts) - 1] / top)


def _python(folder: Path, *arguments: str, sites: tuple[str, ...] = ("site",)) -> list[str]:
    """Python without any site-packages but the links."""
    paths = [str(folder), *(str(folder / site) for site in sites)]
    start = f"import sys, runpy; sys.path[:0] = {paths!r}; del sys.argv[:1]; "
    start += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    return [sys.executable, "-I", "-S", "-c", start, *arguments]


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "four.png"
    images, labels = digits()
    Image.fromarray(images[np.flatnonzero(labels == 4)[0], ..., 0]).save(path)
    return path


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_it_predicts(alone, picture, format):
    sites = ("site", "site-tflite") if format == "tflite" else ("site",)
    command = _python(alone, "serving.predict", str(picture), "--format", format, sites=sites)
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{picture}: 4 ")


def test_it_sorts_a_folder(alone, picture, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/some.png").write_bytes(picture.read_bytes())
    arguments = (str(tmp_path / "photos"), "--sort", str(tmp_path / "sorted"))
    command = _python(alone, "serving.predict", *arguments)
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sorted/4/some.png").read_bytes() == picture.read_bytes()


def test_without_litert_it_says_what_to_install(alone, picture):
    command = _python(alone, "serving.predict", str(picture), "--format", "tflite")
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "pip install ai-edge-litert" in done.stderr


def test_it_serves_a_release(alone):
    port = free_port()
    command = _python(alone, "serving", "--port", str(port))
    server = subprocess.Popen(command, cwd=alone, stdout=subprocess.PIPE, text=True)
    try:
        assert "serves version 1" in server.stdout.readline()
        images, labels = digits()
        body = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1]}
        body["data"] = images[0].ravel().tolist()
        text = str({"inputs": [body]}).replace("'", '"').encode()
        status, answer = request(f"http://127.0.0.1:{port}/v2/models/digits/infer", text)
        assert status == 200
        assert int(np.argmax(answer["outputs"][0]["data"])) == labels[0]
    finally:
        server.terminate()
        server.wait(20)


def test_it_lists_and_verifies_releases(alone):
    for command in ("list", "verify"):
        done = subprocess.run(
            _python(alone, "serving.store", command), cwd=alone, capture_output=True, text=True
        )
        assert done.returncode == 0 and "digits" in done.stdout, done.stderr


def test_it_writes_configuration(alone):
    command = _python(alone, "serving.configs", "digits", "configs")
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Deployment" in (alone / "configs/kubernetes/deployment.yaml").read_text()


@pytest.mark.full
def test_the_requirements_as_pip_installs_them_are_enough(alone, picture, tmp_path):
    """Needs a package index, and some minutes."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv/bin/python")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    pip = [python, "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
    subprocess.run(pip, check=True, env=environment)
    command = [python, "-m", "serving.predict", str(picture)]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and ": 4 " in done.stdout, done.stderr
