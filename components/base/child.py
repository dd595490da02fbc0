"""A step's process: `python -m components.base.child PARENT MODULE ARGS.json`.

Ties itself to the process PARENT, then becomes `python -m MODULE ARGS.json`.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(parent: int) -> None:
    """Linux kills this process when its parent, whose number is `parent`, dies, even by SIGKILL; a
    trainer left behind would compete with the next run's."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)


if __name__ == "__main__":
    _, parent, module, *arguments = sys.argv
    die_with_parent(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
