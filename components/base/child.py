"""A step's process: `python -m components.base.child PARENT MODULE ARGS.json`.

Ties itself to the process PARENT, then becomes `python -m MODULE ARGS.json`.
"""

import atexit
import contextlib
import ctypes
import os
import runpy
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(parent: int) -> None:
    """Linux kills this process when its parent, whose number is `parent`, dies, even by SIGKILL; a
    trainer left behind would compete with the next run's."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)


def become(module: str, arguments: list[str]) -> NoReturn:
    """Runs the module as `python -m` does, and ends this process as it would end."""
    sys.argv = [module, *arguments]
    code: object = None
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    leave(code)


def leave(code: object) -> NoReturn:
    """Ends this process as `sys.exit(code)` would, but without taking a framework down object by
    object, which takes seconds."""
    atexit._run_exitfuncs()
    status = 1
    with contextlib.suppress(OSError):  # nobody may be there to read, or no room
        if code is None or isinstance(code, int):
            status = code or 0
        else:
            print(code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    become(sys.argv[2], sys.argv[3:])
