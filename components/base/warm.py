"""Warm processes: a framework is imported once for all processes of a run that need it.

Importing TensorFlow takes many seconds and PyTorch some; a run has twenty processes that need one
of them. `warm` starts a process for each, which imports it while the run does something else, and
`fork` has a step's process forked from it (`warm_child.py`).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from components.base.unix_socket import short_address

IMPORTS = {
    "tensorflow": ("tensorflow", "keras"),
    "torch": ("torch", "torch.export.pt2_archive"),
    "numpy": ("numpy", "pydantic", "PIL.Image"),
}
"""What the warm processes import, by name: the framework, and what of it is slow to follow; for the
many that need none, what they all begin with. TensorFlow and PyTorch in one process end each
other."""

SOCKETS = "DARKROOM_WARM"
"""The environment variable with the directory of the sockets, for all processes of a run."""


@contextlib.contextmanager
def warm(
    environment: dict[str, str],
    pass_fds: tuple[int, ...],
    names: Iterable[str] = (),
    sparing: bool = False,
) -> Iterator[None]:
    """Has a warm process of each of `names`, without them of all of IMPORTS, while it lasts.

    Returns at once: who asks one that still imports waits for it. What a process of the caller
    starts meanwhile may ask, too. `sparing` leaves a core to the caller, which has as much to
    import: what there is no other core for is imported afterwards. To be entered in a thread that
    lives as long: Linux ends them with the thread.
    """
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-"))
        at_once = len(os.sched_getaffinity(0)) - 1 if sparing else len(IMPORTS)
        for number, name in enumerate(names or IMPORTS):
            turn = os.path.join(directory, f"importing-{number % max(1, at_once)}")
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                with short_address(os.path.join(directory, name)) as address:
                    listener.bind(address)
                listener.listen(128)
                descriptor = listener.fileno()
                process = subprocess.Popen(
                    [sys.executable, "-m", "components.base.warm_child"]
                    + [str(os.getpid()), str(descriptor), turn, *IMPORTS[name]],
                    env=environment,
                    pass_fds=(*pass_fds, descriptor),
                    stdin=subprocess.DEVNULL,
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
        os.environ[SOCKETS] = directory
        stack.callback(os.environ.pop, SOCKETS)
        yield


class WarmProcess:
    """A process that a warm one forked, with what `run_module` uses of `subprocess.Popen`."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        if self._status is None:
            self._connection.settimeout(timeout)
            try:
                answer = self._connection.recv(100)
            except TimeoutError as error:
                raise subprocess.TimeoutExpired("a warm process", timeout or 0) from error
            # No answer: the warm process was killed, and those of its own with it.
            self._status = int(answer) if answer else -signal.SIGKILL
        return self._status

    def kill(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def __enter__(self) -> "WarmProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self._connection.close()


def fork(name: str, request: dict[str, Any]) -> WarmProcess | None:
    """A process of the warm one with that name, see `warm_child.py` for the request; None where
    there is no warm one."""
    if SOCKETS not in os.environ:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with short_address(os.path.join(os.environ[SOCKETS], name)) as address:
            connection.connect(address)
        connection.send(json.dumps(request).encode())
    except OSError:
        connection.close()
        return None
    return WarmProcess(connection)
