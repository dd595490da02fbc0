"""What a shared warm process forks prints where whoever asked for it does.

`python -m tests.helpers.printing_elsewhere OUTPUT ERRORS TERMINAL MODULE ARGUMENT...` runs the
module with these files as its standard streams, and the third as its terminal
(`components/base/console.py`) where it is not empty.
"""

import os
import runpy
import sys
from typing import Any

from components.base import warm
from components.base.console import CONSOLE_FD

MODULE = "tests.helpers.printing_elsewhere"
plain_fork = warm.fork


def fork(name: str, request: dict[str, Any]) -> warm.WarmProcess | None:
    """`warm.fork`, of a process that prints where this one does."""
    here = f"/proc/{os.getpid()}/fd"
    terminal = request["environment"].get(CONSOLE_FD)
    files = f"{here}/1", f"{here}/2", f"{here}/{terminal}" if terminal else ""
    arguments = [*files, request["module"], *request["arguments"]]
    return plain_fork(name, request | {"module": MODULE, "arguments": arguments})


def _opened(file: str) -> int:
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def main() -> None:
    *files, terminal, module = sys.argv[1:5]
    for number, file in enumerate(files, 1):
        os.dup2(_opened(file), number)
    if terminal:
        os.environ[CONSOLE_FD] = str(_opened(terminal))
    warm.fork = fork
    sys.argv = [module, *sys.argv[5:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
