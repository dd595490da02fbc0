"""Running a step in a process of its own: its memory, its GPU and its crashes stay there."""

import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from components.base import disk, warm
from components.base.console import PLAIN, console, inherited

ROOT = Path(__file__).resolve().parents[2]
HOURS = 3600.0
"""Seconds; a step whose time grows with the images is given so many that only one that hangs meets
the end of them."""
_WATCHED = 0.5  # seconds between two looks at a process


# Batches' memory is kept for the next one, in huge pages: otherwise a quarter of a training step on
# the CPU goes into asking the system for pages, and finding them.
_KEEP_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "hugetlb": 1,
        "mmap_threshold": 2**25,
        "trim_threshold": 2**32,
        "top_pad": 2**28,
    }.items()
)


# Spins of an OpenMP thread before it sleeps. Two threads of PyTorch on two cores are up to a fifth
# faster than without any, as with GNU's 300,000; but beside two other trainings those cost half of
# the speed, these a tenth.
_SPINS = "100000"


_Process = subprocess.Popen | warm.WarmProcess


class StepFailed(RuntimeError):
    """A step's process ended badly; the message is one sentence."""

    exit_code = 1


class _Children:
    """The processes that `run_module` waits for, from whichever threads."""

    def __init__(self) -> None:
        self._lock, self._running, self._ended = threading.Lock(), set[_Process](), False

    @contextlib.contextmanager
    def holding(self, start: Callable[[], _Process]) -> Iterator[_Process]:
        with self._lock:
            if self._ended:
                raise StepFailed("the run is being ended")
            process = start()
            self._running.add(process)
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._running.discard(process)

    def end(self, ended: bool) -> None:
        with self._lock:
            self._ended = ended
            for process in self._running if ended else ():
                process.kill()


_children = _Children()


@contextlib.contextmanager
def ended_children() -> Iterator[None]:
    """Kills the processes that `run_module` waits for, in whichever threads, and lets none be
    started meanwhile; what they had begun, and their checkpoints, are as after any kill."""
    _children.end(True)
    try:
        yield
    finally:
        _children.end(False)


def run_module(
    module: str,
    arguments: BaseModel,
    directory: str | Path,
    *,
    seconds: float | None,
    watch: Callable[[], None] | None = None,
    threads: int = 0,
    gpu: bool = True,
    imports: str = "",
    beside: bool = False,
) -> None:
    """Runs `python -m MODULE ARGS.json` to its end; its chatter goes where ours goes.

    The one way in which a process of the line is started. It dies with this one, even by SIGKILL.

    `arguments` are left in `directory` as `MODULE.args.json`, so that the step can be repeated by
    hand. It is ended after `seconds`; None is for trainings, whose time is the user's. `watch` is
    called twice a second meanwhile; what it raises kills the process and goes to the caller.
    `threads` bounds OpenMP's where it is not 0, and without `gpu` no GPU is seen. `imports` names
    the framework that it begins by importing (of `warm.IMPORTS`), where that need not be anew. One
    that runs `beside` others draws no progress bar.

    Raises StepFailed with the sentence the process left in `MODULE.args.error`, or with how it
    ended when it left none (killed, out of memory, out of time), DiskFull when it found no room.
    """
    path = Path(directory) / f"{module}.args.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".error").unlink(missing_ok=True)
    path.write_text(arguments.model_dump_json(indent=1))

    def start() -> _Process:
        environment = _environment(module, threads, gpu) | ({PLAIN: "1"} if beside else {})
        forked = _forked(imports, module, path, environment, threads, gpu)
        return forked or _started(module, path, environment)

    with _children.holding(start) as process:
        status = _wait(process, module, seconds, watch)
    if not status:
        return
    left = path.with_suffix(".error")
    reason = left.read_text().strip() if left.is_file() else ""
    if status == disk.EXIT_FULL or (not reason and disk.nothing_free(directory)):
        raise disk.disk_full(directory)
    if not reason:
        reason = f"exit status {status}"
        if status < 0:
            reason = f"killed by signal {-status} (9, 6 and 11 are often for want of memory)"
    raise StepFailed(reason)


def _started(module: str, path: Path, environment: dict[str, str]) -> subprocess.Popen:
    # Nothing of ours runs between fork and exec (`preexec_fn`): TFX's process has threads, and a
    # lock that one of them holds at that moment stays locked in the child.
    return subprocess.Popen(
        [sys.executable, "-m", "components.base.child", str(os.getpid()), module, str(path)],
        env=environment,
        pass_fds=inherited(),
        stdin=subprocess.DEVNULL,
    )


def _forked(
    imports: str, module: str, path: Path, environment: dict[str, str], threads: int, gpu: bool
) -> warm.WarmProcess | None:
    # CUDA must be found from a process's start, and does not survive a fork.
    if not imports or (gpu and has_gpu()):
        return None
    return warm.fork(
        imports,
        {
            "module": module,
            "arguments": [str(path)],
            "environment": environment,
            "directory": os.getcwd(),
            "threads": threads,
        },
    )


def has_gpu() -> bool:
    """Whether this machine has a GPU of NVIDIA's, for which nothing need be imported."""
    return Path("/dev/nvidiactl").exists()


def warm_processes(
    names: Iterable[str] = (), sparing: bool = False
) -> contextlib.AbstractContextManager[None]:
    """While it lasts, processes need not import what `names` name, without them no framework, see
    `warm.warm`."""
    return warm.warm(_environment("", 0, gpu=False), inherited(), names, sparing)


def _environment(module: str, threads: int, gpu: bool) -> dict[str, str]:
    environment = os.environ | {
        "PYTHONPATH": python_path(),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", _KEEP_MEMORY),
    }
    if "OMP_WAIT_POLICY" not in os.environ:
        environment.setdefault("GOMP_SPINCOUNT", _SPINS)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    if not gpu:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    elif "keras" in module:
        environment |= _tensorflow_cuda()
    return environment


def python_path() -> str:
    """PYTHONPATH of a child, wherever it runs: the project, what there is already, and the current
    directory, where the user's own network may lie."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH"), str(Path.cwd())]
    return os.pathsep.join(dict.fromkeys(filter(None, paths)))


def _wait(
    process: _Process,
    module: str,
    seconds: float | None,
    watch: Callable[[], None] | None,
) -> int:
    """The exit status; the process does not outlive an exception (Ctrl-C, or one of `watch`)."""
    end = math.inf if seconds is None else time.monotonic() + seconds
    try:
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise StepFailed(f"{module} did not end within {seconds:g} s")
            looks = min(left, _WATCHED if watch else left)
            try:
                return process.wait(None if math.isinf(looks) else looks)
            except subprocess.TimeoutExpired:
                if watch is not None:
                    watch()
    except BaseException:
        process.kill()
        raise


def _tensorflow_cuda() -> dict[str, str]:
    """The library path with TensorFlow's CUDA in front, where `make setup GPU=1` put it.

    It is a folder of its own because PyTorch's CUDA has files of the same path.
    """
    folders = sorted(Path(sys.prefix).glob("tensorflow-cuda/nvidia/*/lib"))
    if not folders:
        return {}
    paths = [*map(str, folders), os.environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}


def leave_error(arguments_path: str | Path, name: str, sentence: str) -> None:
    """Called by the step `name` before it exits: what `run_module` is to say.

    Run by hand, without a run around it, the step says it itself.
    """
    with contextlib.suppress(OSError):  # a full disk: the exit status says as much
        Path(arguments_path).with_suffix(".error").write_text(sentence)
    if not inherited():
        console().print(f"{name}: {sentence}", markup=False, highlight=False)
