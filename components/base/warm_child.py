"""A process that has imported a framework, and lends it.

`python -m components.base.warm_child PARENT FD MODULE...` imports the modules once, then forks a
step's process for each request that comes through the listening socket FD: a JSON object with
`module`, `arguments`, `environment`, `directory` and `threads`. Such a process begins where
`python -m MODULE ARGS.json` would be seconds later. Whoever asked is told its exit status, negative
for a signal, and ends it by hanging up, also by dying.

Memory and crashes stay apart as those of processes that are started from nothing; what they share
is what importing leaves.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from components.base.child import die_with_parent

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


def _become(request: dict[str, Any]) -> NoReturn:
    """Runs the module as `python -m` does, and ends this process as it would end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["threads"] and "torch" in sys.modules:  # too late for OMP_NUM_THREADS
        sys.modules["torch"].set_num_threads(request["threads"])
    sys.argv = [request["module"], *request["arguments"]]
    code: object = None
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Without taking the framework down object by object, which takes a second or two.
    os._exit(code or 0)


def _main(parent: int, listener: int, modules: list[str]) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends this
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001 - the step that needs it will say so
            traceback.print_exc()
    sys.stdout.flush()
    gc.freeze()  # a collection would copy what the forked processes share
    _become(_Server(socket.socket(fileno=listener)).serve())


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
