"""Imported by Python itself when Beam starts a local worker process, see `runner.execute`.

TFDV cannot be imported before TFX has stood in for a module that their common library lacks, and a
worker would otherwise begin with TFDV.
"""

import os
import select
import signal
import sys
import threading


def _die_with(process: int) -> None:
    """Kills this process when that one ends: between them is Beam's shell, which does not."""
    try:
        select.select([os.pidfd_open(process)], [], [])
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


if "apache_beam.runners.worker.sdk_worker_main" in sys.orig_argv:
    run = int(os.environ["DARKROOM_RUN"])
    threading.Thread(target=_die_with, args=(run,), daemon=True).start()
    import tfx  # noqa: F401
