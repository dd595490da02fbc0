"""Runs that kill or interrupt themselves at a point of a step.

One process imports TFX and forks for each run, so that a run costs seconds. In tests that is
`KilledLine`; by hand, a run each:

    python -m tests.helpers.killed_line train_torch:middle run digits root=/tmp/out
    python -m tests.helpers.killed_line export:end:SIGTERM run digits root=/tmp/out
    python -m tests.helpers.killed_line 12.5 run digits root=/tmp/out     # seconds after the start
    python -m tests.helpers.killed_line - run digits root=/tmp/out        # undisturbed
"""

import contextlib
import functools
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import psutil

from components.base import warm
from components.base.fingerprint import ROOT
from tests.helpers import printing_elsewhere

POINTS = ("start", "middle", "end", "after")
"""Before TFX looks at the step; when it has written its first file; when it has ended and is not
published; when it is published, and the run does not know yet."""
VERDICT = "run:verdict"
"""When a run is about to write its verdict."""
_MARK, _WARM = "KILLED_LINE", "components.base.warm_child"
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_signal = signal.SIGKILL


def strike() -> None:
    os.kill(os.getpid(), _signal)


def arm(where: str) -> None:
    """Makes this process, which has imported the line, send itself a signal at
    `STEP:POINT[:SIGNAL]`, or SIGKILL after so many seconds."""
    global _signal
    step, point, name, *_ = [*where.split(":"), "", "SIGKILL"]
    _signal = signal.Signals[name or "SIGKILL"]
    if signal.getsignal(_signal) == signal.SIG_IGN:  # the tests run in the background, or by nohup
        signal.signal(_signal, signal.SIG_DFL)
    if not point:
        timer = threading.Timer(float(step), strike)
        timer.daemon = True
        timer.start()
    elif where == VERDICT:
        from pipeline.outcome.unfinished import EXIT_KILLED
        from pipeline.outcome.verdict import Verdict

        # Its own, not that of a killed run before it.
        _before(Verdict, "write", lambda verdict, *_: verdict.exit_code != EXIT_KILLED)
    else:
        _ARM[point](step)


def _before(owner: object, name: str, matches: Callable[..., bool]) -> None:
    """Strikes before a call of `owner.name` whose arguments match."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*arguments, **named):
        if matches(*arguments):
            strike()
        return original(*arguments, **named)

    setattr(owner, name, wrapper)


def _start(step: str) -> None:
    from tfx.orchestration.portable.launcher import Launcher

    _before(Launcher, "launch", lambda launcher: _node(launcher) == step)


def _middle(step: str) -> None:
    from tfx.orchestration.portable.launcher import Launcher

    original = Launcher._run_executor

    def wrapper(launcher, info):
        if _node(launcher) != step:
            return original(launcher, info)
        outputs = [Path(a.uri) for artifacts in info.output_dict.values() for a in artifacts]
        threading.Thread(target=_strike_at_first_file, args=(outputs,), daemon=True).start()
        result = original(launcher, info)
        if _signal == signal.SIGKILL:
            strike()  # it wrote nothing, or faster than anyone could look
        return result

    Launcher._run_executor = wrapper


def _strike_at_first_file(directories: list[Path]) -> None:
    while True:
        for directory in directories:
            for path in directory.rglob("*"):
                if path.is_file() and not path.name.endswith((".args.json", ".args.error")):
                    return strike()
        time.sleep(0.001)


def _end(step: str) -> None:
    from tfx.orchestration.portable.launcher import Launcher

    _before(Launcher, "_publish_successful_execution", lambda launcher, *_: _node(launcher) == step)


def _after(step: str) -> None:
    from pipeline.line import damage

    _before(damage, "record", lambda directory: directory.parts[-3] == step)


def _node(launcher: object) -> str:
    return launcher._pipeline_node.node_info.id  # type: ignore[attr-defined]


_ARM = {"start": _start, "middle": _middle, "end": _end, "after": _after}


class KilledLine:
    """The process that forks runs; a context manager. With `warm` they share the processes that
    have imported TensorFlow and PyTorch, too, which saves a third of their time; so may others,
    where `sockets` stands in the environment (`components/base/warm.py`)."""

    sockets: str

    def __init__(self, warm: bool = False):
        self._serve = "--serve-warm" if warm else "--serve"

    def __enter__(self) -> "KilledLine":
        self._said, self._mark = tempfile.TemporaryDirectory(), secrets.token_hex(8)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.killed_line", self._serve],
            cwd=ROOT,
            env=os.environ | {_MARK: self._mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.sockets = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._said.cleanup()

    def run(self, root: Path, *arguments: str, kill: str = "-") -> tuple[int, str]:
        """Exit status of `run ARGUMENTS root=ROOT` (-9 when it was killed), and what it said.
        Checks that none of its processes outlives it."""
        (ended,) = self._ask(1, root, *arguments, kill=kill)
        return ended

    def race(self, root: Path, *arguments: str) -> list[tuple[int, str]]:
        """The same of two runs that start at once, in the order in which they end. Who gets to its
        first step waits there, and is killed when the other has ended."""
        return self._ask(2, root, *arguments, kill="ingest:start:SIGSTOP")

    def _ask(self, count: int, root: Path, *arguments: str, kill: str) -> list[tuple[int, str]]:
        output = Path(self._said.name, root.name)
        request = [count, kill, str(output), "run", *arguments, f"root={root}"]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        _no_process_is_left(self._process.pid, self._mark)
        return [(code, Path(f"{output}-{number}").read_text()) for number, code in ended]


def _no_process_is_left(server: int, mark: str) -> None:
    """Of those that carry the mark, a few seconds after a run; a kill takes a moment to arrive."""
    end = time.monotonic() + 20
    while left := _marked(server, mark):
        assert time.monotonic() < end, f"processes outlive their run: {left}"
        time.sleep(0.05)


def _marked(server: int, mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == server or process.environ().get(_MARK) != mark:
                continue
            command = " ".join(process.cmdline())
            if process.ppid() != server or _WARM not in command:
                found.append(command)
    return found


def _serve(answers: TextIO = sys.stdout) -> None:
    """Says where warm processes are asked for, if anywhere. Then answers each request, `[COUNT,
    KILL, OUTPUT, ARGUMENT, ...]` as a line, with `[NUMBER, EXIT STATUS]` of each of so many runs at
    once, in the order in which they ended."""
    answers.write(os.environ.get(warm.SOCKETS, "") + "\n")
    answers.flush()
    for line in sys.stdin:
        from pipeline.line import dag, runner  # noqa: F401 - so that forks need not

        count, kill, output, *arguments = json.loads(line)
        children = [_fork(kill, f"{output}-{number}", arguments) for number in range(count)]
        ended: list[tuple[int, int]] = []
        stopped: list[int] = []
        while len(ended) < count:
            child, status = os.waitpid(-1, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                stopped.append(child)
            else:
                ended.append((children.index(child), os.waitstatus_to_exitcode(status)))
            if len(ended) + len(stopped) >= count:
                while stopped:
                    os.kill(stopped.pop(), signal.SIGKILL)
        answers.write(json.dumps(ended) + "\n")
        answers.flush()


def _serve_warm() -> None:
    """The same, with warm processes that stay; what they fork prints where the run does."""
    from components.base.process import warm_processes
    from pipeline.commands import run

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with warm_processes():
        warm.fork = printing_elsewhere.fork
        run.warm_processes = lambda **_: contextlib.nullcontext()
        _serve(answers)


def _fork(kill: str, output: str, arguments: list[str]) -> int:
    child = os.fork()
    if child == 0:
        descriptor = os.open(output, _ANEW, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        _run(kill, arguments)
    return child


def _run(kill: str, arguments: list[str]) -> None:
    """Ends this process with the exit code of `python -m pipeline ARGUMENTS`."""
    from pipeline.commands.app import main

    code: object = 1
    try:
        if kill != "-":
            arm(kill)
        sys.argv = ["pipeline", *arguments]
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        _serve()
    elif sys.argv[1:] == ["--serve-warm"]:
        _serve_warm()
    else:
        from pipeline.line import dag, runner  # noqa: F401 - what `arm` changes

        _run(sys.argv[1], sys.argv[2:])
