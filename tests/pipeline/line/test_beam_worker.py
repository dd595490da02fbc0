"""Beam's worker processes, which it starts through a shell, do not outlive the run."""

import os
import signal
import subprocess
import sys
import time

import psutil

from components.base.fingerprint import ROOT

WORKER = "import time; time.sleep(60)"
RUN = f"""
import os, subprocess, sys, time
os.environ |= {{"DARKROOM_RUN": str(os.getpid()), "PYTHONPATH": "pipeline/line/beam_worker"}}
worker = [sys.executable, "-c", {WORKER!r}, "apache_beam.runners.worker.sdk_worker_main"]
subprocess.Popen("exec 3>&1; '" + "' '".join(worker) + "'; true", shell=True)
time.sleep(60)
"""


def test_a_worker_dies_with_the_run_although_a_shell_is_between_them():
    run = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, start_new_session=True)
    worker = None
    end = time.monotonic() + 60
    while worker is None or not worker.cmdline()[-1].endswith("sdk_worker_main"):
        assert time.monotonic() < end
        below = psutil.Process(run.pid).children(recursive=True)
        worker = below[-1] if len(below) == 2 else None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    psutil.wait_procs([worker], timeout=20)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
