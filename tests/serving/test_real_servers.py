"""TensorFlow Serving and Triton themselves on a release, with the files that the store writes.

Skipped where neither the program nor Docker is at hand. Elsewhere the same files are parsed by the
servers' own messages (`test_configs.py`, `store/test_config_files.py`), and the SavedModel's
warm-up requests are replayed through it (`tests/export/test_exporter.py`).
"""

import contextlib
import functools
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serving.configs import plan
from serving.store import config_files
from serving.store.store import Store
from tests.helpers.serving_fixtures import (
    digits,
    digits_release,
    expected,
    free_port,
    request,
    seal,
)

pytestmark = pytest.mark.full
IMAGES, _ = digits()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A store with one release: the digits' centroids as ONNX, and as a SavedModel."""
    import tensorflow as tf

    from tests.helpers.serving_fixtures import centroid_network

    weights, bias = (tf.constant(of, tf.float32) for of in centroid_network())

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.uint8, "image")])
        def serve(self, image):
            flat = tf.reshape(tf.cast(image, tf.float32) / 255, [-1, 64])
            return {"probabilities": tf.nn.softmax(flat @ weights + bias)}

    module, root = Module(), tmp_path_factory.mktemp("root")
    directory = digits_release(root / "digits")
    tf.saved_model.save(module, str(root / "saved"), {"serving_default": module.serve})
    shutil.copytree(root / "saved", directory, dirs_exist_ok=True)
    Store(root / "serving").publish(
        "digits", seal(directory, formats=["saved_model", "tflite", "onnx"])
    )
    return root / "serving"


@functools.cache
def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    return False


def command(program: str, image: str, mounts: list[Path]) -> list[str]:
    """How to start it here, without its options."""
    if shutil.which(program):
        return [program]
    if not docker_answers():
        pytest.skip(f"{program} is not on PATH, and no Docker engine answers")
    volumes = [f"--volume={path}:{path}:ro" for path in mounts]
    return ["docker", "run", "--rm", "--network=host", *volumes, f"--entrypoint={program}", image]


@contextlib.contextmanager
def started(arguments: list[str], url: str, seconds: float = 300) -> Iterator[None]:
    """The server, once it answers `url`; it ends with the block."""
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        ending = time.monotonic() + seconds
        while True:
            assert server.poll() is None, server.stdout.read().decode(errors="replace")[-3000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            assert time.monotonic() < ending, f"{url} was not answered within {seconds:.0f} s"
            time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.communicate(timeout=60)


def check(found: list, count: int) -> None:
    """Triton gives a flat list."""
    answers = np.array(found, np.float32).reshape(count, 10)
    np.testing.assert_allclose(answers, expected(IMAGES[:count]), atol=1e-5)


def test_tensorflow_serving_answers_as_the_model_does(root, tmp_path):
    rest, grpc = free_port(), free_port()
    pinned = config_files.Pinned.of(1, {})
    models = config_files.tf_serving_models({"digits": pinned}, base=str(root / "models"))
    (tmp_path / "models.config").write_text(models)
    (tmp_path / "monitoring.config").write_text(config_files.tf_serving_monitoring("/metrics"))
    options = [
        f"--port={grpc}",
        f"--rest_api_port={rest}",
        f"--model_config_file={tmp_path / 'models.config'}",
        "--enable_batching=true",
        f"--batching_parameters_file={root / 'batching.config'}",
        f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
    ]
    start = command("tensorflow_model_server", plan.TENSORFLOW_IMAGE, [root, tmp_path])
    url = f"http://127.0.0.1:{rest}/v1/models/digits"
    with started(start + options, url):
        body = b'{"instances": %s}' % str(IMAGES[:5].tolist()).encode()
        status, answer = request(f"{url}/versions/1:predict", body)
        assert status == 200, answer
        check(answer["predictions"], 5)


def test_triton_answers_as_the_model_does(root, tmp_path):
    http, grpc, metrics = free_port(), free_port(), free_port()
    options = [
        f"--model-repository={root / 'models'}",
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
    ]
    start = command("tritonserver", plan.TRITON_IMAGE, [root])
    url = f"http://127.0.0.1:{http}/v2"
    with started(start + options, f"{url}/models/digits/versions/1/ready"):
        data = str(IMAGES[:5].ravel().tolist())
        tensor = f'{{"name": "image", "shape": [5, 8, 8, 1], "datatype": "UINT8", "data": {data}}}'
        status, answer = request(f"{url}/models/digits/infer", f'{{"inputs": [{tensor}]}}'.encode())
        assert status == 200, answer
        check(answer["outputs"][0]["data"], 5)
