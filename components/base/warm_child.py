"""A process that has imported a framework, and lends it.

`python -m components.base.warm_child PARENT FD TURN MODULE...` imports the modules once, when the
lock file TURN is free, then forks a step's process for each request that comes through the
listening socket FD: a JSON object with `module`, `arguments`, `environment`, `directory` and
`threads`. Such a process begins where `python -m MODULE ARGS.json` would be seconds later. Whoever
asked is told its exit status, negative for a signal, and ends it by hanging up, also by dying.

Memory and crashes stay apart as those of processes that are started from nothing; what they share
is what importing leaves.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from components.base.child import become, die_with_parent
from components.base.without import OF_KERAS, without

_REQUEST = 2**20
"""Bytes of a request at most: an environment is smaller."""


class _Forked:
    """A process that was asked for, with the connection of who did."""

    def __init__(self, number: int, connection: socket.socket):
        self.number, self.connection = number, connection
        self.descriptor = os.pidfd_open(number)
        self.ended = False

    def tell(self) -> None:
        """Says how it ended."""
        _, status = os.waitpid(self.number, 0)
        self.ended = True
        with contextlib.suppress(OSError):
            self.connection.send(str(os.waitstatus_to_exitcode(status)).encode())

    def close(self) -> None:
        os.close(self.descriptor)
        self.connection.close()


class _Server:
    """Forks a process for each connection to the listener."""

    def __init__(self, listener: socket.socket):
        self._listener = listener
        self._running: set[_Forked] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any]:
        """Never ends, but in the forked processes, where it returns what was asked for."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    if (request := self._accept()) is not None:
                        return request
                elif not key.data.ended:  # by an event just before
                    self._attend(key.data, hung_up=key.fileobj is key.data.connection)

    def _accept(self) -> dict[str, Any] | None:
        connection, _ = self._listener.accept()
        request = connection.recv(_REQUEST)
        if not request:
            connection.close()
            return None
        parent = os.getpid()
        number = os.fork()
        if number == 0:
            die_with_parent(parent)
            connection.close()
            self._close()
            return json.loads(request)
        forked = _Forked(number, connection)
        self._running.add(forked)
        for watched in (forked.descriptor, connection):
            self._selector.register(watched, selectors.EVENT_READ, forked)
        return None

    def _attend(self, forked: _Forked, hung_up: bool) -> None:
        if hung_up:
            os.kill(forked.number, signal.SIGKILL)
            self._selector.unregister(forked.connection)
            return
        forked.tell()
        self._running.remove(forked)
        for watched in (forked.descriptor, forked.connection):
            with contextlib.suppress(KeyError):
                self._selector.unregister(watched)
        forked.close()

    def _close(self) -> None:
        self._selector.close()
        self._listener.close()
        for forked in self._running:
            forked.close()


def _run(request: dict[str, Any]) -> NoReturn:
    """Runs the module as `python -m` does, and ends this process as it would end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["threads"] and "torch" in sys.modules:  # too late for OMP_NUM_THREADS
        sys.modules["torch"].set_num_threads(request["threads"])
    become(request["module"], request["arguments"])


def _main(parent: int, listener: int, turn: str, modules: list[str]) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends this
    with open(turn, "w") as file, without(*(OF_KERAS if "keras" in modules else ())):
        fcntl.flock(file, fcntl.LOCK_EX)
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception:  # noqa: BLE001 - the step that needs it will say so
                traceback.print_exc()
    sys.stdout.flush()
    gc.freeze()  # a collection would copy what the forked processes share
    _run(_Server(socket.socket(fileno=listener)).serve())


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
