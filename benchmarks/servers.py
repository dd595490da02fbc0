"""Our server and MLServer in processes of their own, on the processors they are given."""

import contextlib
import dataclasses
import functools
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import psutil

from benchmarks.open_inference import GRPC_KINDS, Kind
from benchmarks.prepared import OUTPUT
from components.base.process import ROOT, StepFailed
from serving.contract.release_files import FORMATS
from serving.store.release import Release

_REQUIREMENTS = ["mlserver==1.7.*", "uvloop<0.22", f"onnxruntime=={onnxruntime.__version__}"]
"""MLServer with what it brings, and the ONNX Runtime that our server has. With a later uvloop
MLServer's parallel workers end as soon as they start."""
_RUNTIME = Path(__file__).with_name("mlserver_runtime.py")
_START = "import sys; from mlserver.cli import main; sys.argv[0] = 'mlserver'; main()"
_START_SECONDS = 90


@dataclasses.dataclass(frozen=True)
class Server:
    """One that answers: `http` and `grpc` are `http://HOST:PORT`, `grpc` None where it has none;
    `form` is the release's file that it serves, by its name in `release_files.FORMATS`."""

    http: str
    grpc: str | None
    pid: int
    form: str = "onnx"

    def url(self, kind: Kind) -> str:
        """Where bodies of that kind go. Raises ValueError where the server does not take them."""
        url = self.grpc if kind in GRPC_KINDS else self.http
        if url is None:
            raise ValueError("the server has no gRPC")
        return url

    def cpu_seconds(self) -> float:
        """Of user and system, that the server's processes have taken since their start."""
        root = psutil.Process(self.pid)
        times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
        return float(sum(time.user + time.system for time in times))


@functools.cache
def options() -> str:
    """What `python -m serving --help` prints."""
    command = [sys.executable, "-m", "serving", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@contextlib.contextmanager
def ours(
    release: Release, root: Path, cores: str, threads: int = 1, form: str = "onnx"
) -> Iterator[Server]:
    """Our server on the processors `cores` (`taskset`'s list), with so many inferences at once.

    Raises StepFailed when it does not start.
    """
    http, grpc = _free_port(), _free_port()
    command = [sys.executable, "-m", "serving", "--root", str(root), "--model", release.name]
    command += ["--port", str(http), "--threads", str(threads)]
    with_grpc = "--grpc-port" in options()
    if with_grpc:
        command += ["--grpc-port", str(grpc)]
    if form != "onnx":
        command += ["--format", form]
    with tempfile.TemporaryDirectory() as directory:
        process = _started(command, cores, ROOT, Path(directory, "log.txt"))
        url = f"http://127.0.0.1:{http}"
        with _running(process, f"{url}/v2/models/{release.name}", Path(directory, "log.txt")):
            yield Server(url, f"http://127.0.0.1:{grpc}" if with_grpc else None, process.pid, form)


@contextlib.contextmanager
def mlserver(release: Release, cores: str, workers: int) -> Iterator[Server]:
    """MLServer with the same file of the release and so many `parallel_workers`, 0 for inferences
    in its only process; everything else but `debug` is as it comes.

    Raises StepFailed when it cannot be installed or does not start.
    """
    http, grpc, metrics = _free_port(), _free_port(), _free_port()
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": workers,
    }
    file = FORMATS["onnx"].in_release(release.path)
    model = {
        "name": release.name,
        "implementation": f"{_RUNTIME.stem}.OnnxModel",
        "parameters": {"uri": str(file.resolve()), "version": str(release.version)},
    }
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        shutil.copy(_RUNTIME, folder)
        command = [str(_environment()), "-c", _START, "start", str(folder)]
        process = _started(command, cores, folder, folder / "log.txt")
        url = f"http://127.0.0.1:{http}"
        with _running(process, f"{url}/v2/models/{release.name}", folder / "log.txt"):
            yield Server(url, f"http://127.0.0.1:{grpc}", process.pid)


def _environment() -> Path:
    """The Python that has MLServer, in an environment that is made where there is none."""
    directory = OUTPUT / "mlserver"
    python, made = directory / "bin" / "python", directory / "made.json"
    if made.is_file() and json.loads(made.read_text()) == _REQUIREMENTS:
        return python
    print("installing MLServer in an environment of its own (a minute)", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [str(python), "-m", "pip", "install", "--quiet", *_REQUIREMENTS],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StepFailed(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    made.write_text(json.dumps(_REQUIREMENTS))
    return python


def _started(command: list[str], cores: str, cwd: Path, log: Path) -> subprocess.Popen:
    with log.open("w") as file:
        command = ["taskset", "-c", cores, *command]
        return subprocess.Popen(command, cwd=cwd, stdout=file, stderr=file)


@contextlib.contextmanager
def _running(process: subprocess.Popen, model: str, log: Path) -> Iterator[None]:
    """From when the model at that URL is ready, until the server is to end."""
    try:
        until = time.monotonic() + _START_SECONDS
        while not _ready(model):
            if process.poll() is not None or time.monotonic() > until:
                raise StepFailed(f"the server did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(model: str) -> bool:
    # The health of MLServer as a whole is good before it has any model.
    try:
        with urllib.request.urlopen(f"{model}/ready", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
