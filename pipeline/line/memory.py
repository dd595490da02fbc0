"""How much memory a step takes, measured from outside."""

import contextlib
import threading
import time
from types import TracebackType

import psutil

_SECONDS = 0.5
_COST = 0.02
"""Of a core, at most: pages that are shared have to be counted one by one."""


class PeakMemory:
    """The most memory in use within the `with` block: `bytes` of this process and all that descend
    from it together, looked at every one to five seconds. Pages that processes share are divided
    among them.

    It is what the machine needs while the step runs, the libraries of the line's own process
    included; a shorter peak may be missed.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        wait = _SECONDS
        while not self._ended.wait(wait):
            started = time.thread_time()
            self._look()
            wait = max(_SECONDS, (time.thread_time() - started) / _COST)

    def _look(self) -> None:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has just ended
                total += process.memory_full_info().pss
        self.bytes = max(self.bytes, total)
