"""Real releases for the serving tests: nearest-centroid digits as ONNX, and a running server."""

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits

from serving.contract.release_files import NEIGHBOURS, UNLISTED
from serving.inference.neighbours import directions, write
from serving.store.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = [str(digit) for digit in range(10)]


def contract(height=8, width=8, channels=1, labels=LABELS) -> dict:
    return {
        "input": {
            "name": "image",
            "dtype": "uint8",
            "shape": [None, height, width, channels],
        },
        "output": {
            "name": "probabilities",
            "dtype": "float32",
            "shape": [None, len(labels)],
        },
        "image_spec": {"height": height, "width": width, "channels": channels},
        "labels": list(labels),
        "lineage": "keras-0123456789abcdef",
        "framework": "keras",
    }


def seal(directory: Path, name: str = "digits", **facts) -> Path:
    """Writes manifest.json, with these facts, over whatever `directory` holds."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name not in UNLISTED:
            data = path.read_bytes()
            files[path.relative_to(directory).as_posix()] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
            }
    manifest = {
        "model": name,
        "lineage": "keras-0123456789abcdef",
        "framework": "keras",
    }
    manifest |= {"created": "2026-01-01T00:00:00+00:00", "files": files, **facts}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def bundle(directory: Path, name: str = "digits", text: str = "weights") -> Path:
    """A small release directory whose formats are never opened: for the store's own tests."""
    (directory / "variables").mkdir(parents=True)
    (directory / "variables/variables.data").write_bytes(text.encode() * 1000)
    (directory / "saved_model.pb").write_text(text)
    (directory / "contract.json").write_text(json.dumps(contract()))
    (directory / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return seal(directory, name)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8 (1797, 8, 8, 1) and int64 (1797,)."""
    data = load_digits()
    return (data.images * 15.9375).round().astype(np.uint8)[..., None], data.target


@functools.cache
def centroid_network() -> tuple[np.ndarray, np.ndarray]:
    """Weights (64, 10) and bias (10,) that make softmax(x @ w + b) prefer the nearest mean."""
    images, labels = digits()
    flat = images.reshape(len(images), -1).astype(np.float64) / 255
    means = np.stack([flat[labels == digit].mean(0) for digit in range(10)])
    return (2 * means.T).astype(np.float32), -(means**2).sum(1).astype(np.float32)


def onnx_bytes(scale: float = 1.0, work: int = 0) -> bytes:
    """image uint8 (N, 8, 8, 1) to probabilities float32 (N, 10). `work`: convolutions with 64
    channels whose result counts for nothing, some 0.1 ms each and image."""
    weights, bias = centroid_network()
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        *_idle_work(work),
        helper.make_node("Flatten", ["float"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"], alpha=scale / 255),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "centroids",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
            *_idle_weights(work),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _idle_work(count: int) -> list:
    """pixels (N, 8, 8, 1) to float, the same, after `count` convolutions of something."""
    if not count:
        return [helper.make_node("Identity", ["pixels"], ["float"])]
    nodes = [helper.make_node("Tile", ["rows", "repeats"], ["idle0"])]
    nodes.insert(0, helper.make_node("Transpose", ["pixels"], ["rows"], perm=[0, 3, 1, 2]))
    for i in range(count):
        inputs = [f"idle{i}", "idle_weights"]
        nodes.append(helper.make_node("Conv", inputs, [f"idle{i + 1}"], pads=[1, 1, 1, 1]))
    nodes += [
        helper.make_node("ReduceMax", [f"idle{count}"], ["most"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        helper.make_node("Add", ["pixels", "nothing"], ["float"]),
    ]
    return nodes


def _idle_weights(count: int) -> list:
    if not count:
        return []
    weights = np.full((64, 64, 3, 3), 1 / 576, np.float32)
    return [
        numpy_helper.from_array(weights, "idle_weights"),
        numpy_helper.from_array(np.array([1, 64, 1, 1]), "repeats"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]


def expected(images: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The same network in NumPy."""
    weights, bias = centroid_network()
    logits = scale * (images.reshape(len(images), -1).astype(np.float32) @ weights / 255) + bias
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def digits_release(
    directory: Path,
    scale: float = 1.0,
    name: str = "digits",
    golden_scale: float = 1.0,
    work: int = 0,
) -> Path:
    """A release directory with a real ONNX model; a `scale` other than `golden_scale` breaks its
    golden. `work` slows it down, see `onnx_bytes`."""
    bundle(directory, name)
    images, labels = digits()
    golden = {
        "image": images[:100],
        "probabilities": expected(images[:100], golden_scale),
        "label": labels[:100],
    }
    np.savez(directory / "golden.npz", **golden)
    (directory / "model.onnx").write_bytes(onnx_bytes(scale, work))
    # The same network, converted once from a SavedModel: converting needs TensorFlow.
    shutil.copyfile(REPOSITORY / "tests/data/centroids.tflite", directory / "model.tflite")
    return seal(directory, name)


def with_neighbours(directory: Path, names: Sequence[str] = (), rows: range = range(100)) -> Path:
    """Adds neighbours.npz to that release: the digits of these rows, whose features are their
    pixels."""
    images, labels = (of[rows.start : rows.stop] for of in digits())
    features = directions(images.reshape(len(images), -1).astype(np.float32))
    names = names or [f"{label}/{row}.png" for row, label in zip(rows, labels)]
    write(directory / NEIGHBOURS, features, labels, names, "flat")
    return seal(directory)


def fitted_stores(directory: Path) -> Path:
    """The root of a line whose store holds that release as `crop`, `stretch` and `pad`, each with
    that fit in its contract."""
    store = Store(directory / "out/serving")
    for fit in ("crop", "stretch", "pad"):
        release = digits_release(directory / fit, name=fit)
        described = contract()
        described["image_spec"]["fit"] = fit
        (release / "contract.json").write_text(json.dumps(described))
        store.publish(fit, seal(release, fit))
    return directory / "out"


def odd_pictures(directory: Path) -> dict[Path, Image.Image]:
    """A digit's rows between bright bars: PNG files of a portrait, a landscape (in colour), one
    that lies on its side as its EXIF data says, and a line of one pixel."""
    digit = Image.fromarray(digits()[0][12, :, :, 0])
    wide = Image.new("L", (23, 8), 220)
    wide.paste(digit, (9, 0))
    tall = wide.transpose(Image.Transpose.ROTATE_90).resize((40, 115))
    turned = tall.copy()
    turned.getexif()[0x0112] = 6
    line = Image.new("L", (1, 50), 130)
    pictures = {"tall": tall, "wide": wide.convert("RGB"), "turned": turned, "line": line}
    found = {directory / f"{name}.png": picture for name, picture in pictures.items()}
    for path, picture in found.items():
        picture.save(path, exif=picture.getexif())
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess:
    """`python ARGUMENTS` at the repository's root, with its output as text."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@contextlib.contextmanager
def server(root: Path, *arguments: str, seconds: float = 120):
    """Yields (base URL, process, first printed line) of a real server, stopped at the end; killed
    after `seconds`."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "serving",
        "--root",
        str(root),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(seconds, process.kill)  # bounds the wait for the first line
    watchdog.start()
    try:
        line = process.stdout.readline()
        if not re.match(r"https?://\S+ serves", line):
            process.kill()
            raise AssertionError(f"printed {line!r}, {process.communicate(timeout=10)}")
        yield f"http://127.0.0.1:{port}", process, line
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
                raise
        for pipe in (process.stdout, process.stderr):
            pipe.close()


def request(url: str, body: bytes | None = None, **headers: str) -> tuple[int, dict]:
    """(status, decoded JSON) of a GET, or of a POST when there is a body."""
    query = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(query, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def two_releases(directory: Path) -> Store:
    """A store there with two releases of `digits`, the second one current."""
    store = Store(directory / "serving")
    for number in (1, 2):
        store.publish("digits", bundle(directory / f"new{number}", text=f"weights {number}"))
    return store
