"""What Ctrl-C, a scheduler's SIGTERM and a closed terminal do to a run. Standard library only.

The first signal raises Interrupted in the main thread, further ones only hurry it; whatever hangs
meanwhile, the process has ended DEADLINE seconds after the first.
"""

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

DEADLINE = 9.0
"""Seconds; service managers and `docker stop` wait ten before they kill."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; `exit_code` is 128 and its number, as shells have it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Interruption:
    """Which signal came, and whether a second one did; the handler of them all."""

    def __init__(self) -> None:
        self.number = 0
        self.hurried = False
        self._deferred = False
        # Unlike a lock or an event, safe to use from a signal's handler.
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=self._end_in_time, daemon=True).start()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            self.hurried = True
            return
        self.number = number
        self._came.put(number)
        if not self._deferred:
            raise Interrupted(number)

    def defer(self) -> None:
        """From now on a signal no longer raises: the run is ending anyway."""
        self._deferred = True

    def cancel(self) -> None:
        self._came.put(0)

    def _end_in_time(self) -> None:
        if number := self._came.get():
            time.sleep(DEADLINE)
            os._exit(128 + number)


_current: Interruption | None = None


def check() -> None:
    """Raises Interrupted where a signal has come: a library may have swallowed the exception, as
    some do while they are imported."""
    if _current is not None and _current.number:
        raise Interrupted(_current.number)


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Signals raise Interrupted; those that are ignored (nohup, a shell's background) stay so."""
    global _current
    interruption = _current = Interruption()
    heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interruption) for number in heard}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _current = None
        if not interruption.number:
            interruption.cancel()
