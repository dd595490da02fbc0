"""`python -m benchmarks.in_process MODEL.onnx IMAGES.npy`: ONNX Runtime without a server.

Runs the session that the server has over the same images again and again, one session and thread
for each of `--sessions`, and prints one line of JSON.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from components.base.process import ROOT, StepFailed
from serving.inference.onnx_runtime import open_session


@dataclasses.dataclass(frozen=True)
class Alone:
    """`rate` is of all sessions, in runs a second; `p50` the microseconds of a run, the median, and
    `cpu` its microseconds of processor time, the mean."""

    rate: float
    p50: float
    cpu: float


def measure(
    model: Path, images: np.ndarray, sessions: int, seconds: float, processors: str
) -> Alone:
    """Runs this module on `images`, uint8 (N, H, W, C), on the processors (`taskset`'s list).

    Raises StepFailed when it fails.
    """
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, images)
        file.flush()
        command = ["taskset", "-c", processors, sys.executable, "-m", "benchmarks.in_process"]
        command += [str(model), file.name, f"--sessions={sessions}", f"--seconds={seconds}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return Alone(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    feed = {"image": np.load(arguments.images)}
    times: list[float] = []  # appending is atomic
    stop = threading.Event()

    def repeat(session: Any) -> None:
        session.run(["probabilities"], feed)
        ready.wait()
        while not stop.is_set():
            start = time.perf_counter()
            session.run(["probabilities"], feed)
            times.append(time.perf_counter() - start)

    ready = threading.Barrier(arguments.sessions + 1)
    sessions = [open_session(arguments.model, threads=1) for _ in range(arguments.sessions)]
    threads = [threading.Thread(target=repeat, args=[session]) for session in sessions]
    for thread in threads:
        thread.start()
    ready.wait()
    start, cpu = time.perf_counter(), time.process_time()
    time.sleep(arguments.seconds)
    stop.set()
    for thread in threads:
        thread.join()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    p50 = float(np.median(times)) * 1e6
    found = Alone(rate=len(times) / wall, p50=p50, cpu=cpu / len(times) * 1e6)
    print(json.dumps(dataclasses.asdict(found)))


if __name__ == "__main__":
    main()
