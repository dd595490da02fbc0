"""Compiled load generators: wrk for HTTP/1.1 and h2load for gRPC, and what they print.

A client in Python takes more of a processor than either server and would be what is measured. Every
client has a connection of its own, kept alive, and one request under way at a time.
"""

import dataclasses
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.open_inference import GRPC_KINDS, Body
from components.base.process import StepFailed

_INSTALL = {"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux"}
"""Program to Debian's package of it."""

_SCRIPT = """
wrk.method = "POST"
wrk.headers = {headers}
local file = io.open({file}, "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
"""wrk's own table rounds; `latency` is in microseconds."""


@dataclasses.dataclass(frozen=True)
class Load:
    """`requests` that were answered, their `rate` a second, `p50` and `p99` of their latency in
    microseconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def missing() -> str | None:
    """A sentence on how to install what is not there, None where all of it is."""
    absent = [name for name in _INSTALL if shutil.which(name) is None]
    packages = " ".join(_INSTALL[name] for name in absent)
    return f"{' and '.join(absent)} missing: apt-get install {packages}" if absent else None


def load(url: str, body: Body, size: int, clients: int, seconds: int, cores: str) -> Load:
    """Posts `body` to the server at `url` over and over, from `clients` connections at once, for
    so many seconds, by one thread on the processors `cores` (`taskset`'s list). An answer of gRPC
    has `size` bytes.

    Raises StepFailed when a request fails.
    """
    with tempfile.TemporaryDirectory() as directory:
        content, log = Path(directory, "body"), Path(directory, "log")
        content.write_bytes(body.content)
        if body.kind in GRPC_KINDS:
            command = ["h2load", f"-D{seconds}", f"-c{clients}", "-t1", "-m1", f"-d{content}"]
            command += [f"--log-file={log}"]
            for name, value in body.headers.items():
                command += ["-H", f"{name.lower()}: {value}"]
            printed = _run(["taskset", "-c", cores, *command, url + body.path])
            return of_h2load(printed, log.read_text(), size)
        script = Path(directory, "post.lua")
        script.write_text(wrk_script(body.headers, content))
        command = ["wrk", f"-d{seconds}s", f"-c{clients}", "-t1", "--timeout=30s", f"-s{script}"]
        return of_wrk(_run(["taskset", "-c", cores, *command, url + body.path]))


def wrk_script(headers: dict[str, str], content: Path) -> str:
    """The Lua script that posts the file `content` and prints one line of JSON at the end."""
    pairs = ", ".join(f"[{json.dumps(name)}] = {json.dumps(headers[name])}" for name in headers)
    return _SCRIPT.format(headers=f"{{{pairs}}}", file=json.dumps(str(content)))


def of_wrk(printed: str) -> Load:
    """What `wrk_script` printed. Raises StepFailed when a request failed or none was answered."""
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if not lines:
        raise StepFailed(f"wrk did not print its summary:\n{printed[-2000:]}")
    found = json.loads(lines[-1])
    if found["errors"] or not found["requests"]:
        raise StepFailed(f"{found['errors']} of {found['requests']} requests failed, by wrk.")
    requests = found["requests"]
    return Load(requests, requests / found["microseconds"] * 1e6, found["p50"], found["p99"])


def of_h2load(printed: str, log: str, size: int) -> Load:
    """What h2load printed and its log: a line of start (microseconds), status and latency
    (microseconds) for each request; of latencies it prints no percentiles.

    An error of gRPC has status 200 as well, but no message: all answers together must have as many
    bytes as answers of `size` bytes have. Raises StepFailed when a request failed or none was
    answered.
    """
    rate = re.search(r"^finished in .*?, ([0-9.]+) req/s", printed, re.MULTILINE)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", printed)
    data = re.search(r"\((\d+)\) data$", printed, re.MULTILINE)
    rows = [line.split("\t") for line in log.splitlines()]
    if rate is None or counts is None or data is None:
        raise StepFailed(f"h2load did not print its summary:\n{printed[-2000:]}")
    done, succeeded = int(counts[1]), int(counts[2])
    short = not rows or int(data[1]) < done * size
    if done != succeeded or short or any(row[1] != "200" for row in rows):
        raise StepFailed(f"some of {done} requests failed, by h2load:\n{printed[-2000:]}")
    latencies = np.array([float(row[2]) for row in rows])
    return Load(done, float(rate[1]), *(float(p) for p in np.percentile(latencies, [50, 99])))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout
