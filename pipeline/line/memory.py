"""How much memory a step takes, measured from outside."""

import contextlib
import threading
from types import TracebackType

import psutil

_SECONDS = 0.5


class PeakMemory:
    """The most memory in use within the `with` block: `bytes`, resident, of this process and all
    that descend from it together, looked at twice a second.

    It is what the machine needs while the step runs, the libraries of the line's own process
    included; a shorter peak than half a second may be missed, and pages that processes share count
    in each.
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
        while not self._ended.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has just ended
                total += process.memory_info().rss
        self.bytes = max(self.bytes, total)
