"""Running a step in a process of its own: its memory, its GPU and its crashes stay there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from components.base.console import console, inherited

ROOT = Path(__file__).resolve().parents[2]
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


class StepFailed(RuntimeError):
    """A step's process ended badly; the message is one sentence."""

    exit_code = 1


def run_module(
    module: str,
    arguments: dict,
    directory: str | Path,
    watch: Callable[[], None] | None = None,
) -> None:
    """Runs `python -m MODULE ARGS.json` to its end; its chatter goes where ours goes.

    `arguments` are left in `directory` as `MODULE.args.json`, so that the step can be repeated by
    hand. `watch` is called twice a second meanwhile; what it raises kills the process and goes to
    the caller. Raises StepFailed with the sentence the process left in `MODULE.args.error`, or its
    exit status when it left none (killed, out of memory).
    """
    path = Path(directory) / f"{module}.args.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".error").unlink(missing_ok=True)
    path.write_text(json.dumps(arguments, indent=1))
    environment = os.environ | {
        "PYTHONPATH": python_path(),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", _KEEP_MEMORY),
    }
    if "OMP_WAIT_POLICY" not in os.environ:
        environment.setdefault("GOMP_SPINCOUNT", _SPINS)
    if "keras" in module:
        environment |= _tensorflow_cuda()
    # Nothing of ours runs between fork and exec (`preexec_fn`): TFX's process has threads, and a
    # lock that one of them holds at that moment stays locked in the child.
    with subprocess.Popen(
        [sys.executable, "-m", "components.base.child", str(os.getpid()), module, str(path)],
        env=environment,
        pass_fds=inherited(),
        stdin=subprocess.DEVNULL,
    ) as process:
        status = _wait(process, watch)
    if status:
        left = path.with_suffix(".error")
        reason = left.read_text().strip() if left.is_file() else f"exit status {status}"
        if status < 0 and not left.is_file():
            reason = f"killed by signal {-status} (9, 6 and 11 are often for want of memory)"
        raise StepFailed(reason)


def python_path() -> str:
    """PYTHONPATH of a child, wherever it runs: the project, what there is already, and the current
    directory, where the user's own network may lie."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH"), str(Path.cwd())]
    return os.pathsep.join(dict.fromkeys(filter(None, paths)))


def _wait(process: subprocess.Popen, watch: Callable[[], None] | None) -> int:
    """The exit status; the process does not outlive an exception (Ctrl-C, or one of `watch`)."""
    try:
        while watch is not None:
            try:
                return process.wait(_WATCHED)
            except subprocess.TimeoutExpired:
                watch()
        return process.wait()
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
    Path(arguments_path).with_suffix(".error").write_text(sentence)
    if not inherited():
        console().print(f"{name}: {sentence}", markup=False, highlight=False)
