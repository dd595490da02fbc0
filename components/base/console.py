"""The terminal, kept apart from library chatter.

Commands point file descriptors 1 and 2 at a log file (`chatter_to`) and leave the real terminal
open under the number in `DARKROOM_CONSOLE_FD`; they and their child processes write there what a
person reads. Without the variable (a step run by hand) that is standard error.
"""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

CONSOLE_FD = "DARKROOM_CONSOLE_FD"
PLAIN = "DARKROOM_PLAIN"
"""The environment variable that, in a process beside others, keeps it to whole lines."""


def console() -> Console:
    """A rich console on the real terminal, or on standard error when run by hand."""
    number = os.environ.get(CONSOLE_FD)
    if number is None:
        return Console(stderr=True, soft_wrap=True)
    raw = _MayBeGone(os.dup(int(number)), "w")
    stream = io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True)
    moving = os.isatty(stream.fileno()) and PLAIN not in os.environ
    return Console(file=stream, force_terminal=moving, soft_wrap=True)


@contextlib.contextmanager
def chatter_to(log: int) -> Iterator[None]:
    """While it lasts, file descriptors 1 and 2 point at the descriptor `log`, and `console` writes
    where 1 did."""
    flush_standard_streams()
    saved = os.dup(1), os.dup(2)
    os.environ[CONSOLE_FD] = str(saved[0])
    _point_at(log, log)
    try:
        yield
    finally:
        try:
            flush_standard_streams()
        except OSError:  # a full disk: what could not be logged must not come out on the terminal
            nowhere = os.open(os.devnull, os.O_WRONLY)
            _point_at(nowhere, nowhere)
            os.close(nowhere)
            flush_standard_streams()
        del os.environ[CONSOLE_FD]
        _point_at(*saved)
        for descriptor in saved:
            os.close(descriptor)


def _point_at(output: int, errors: int) -> None:
    os.dup2(output, 1)
    os.dup2(errors, 2)


class _MayBeGone(io.FileIO):
    """A terminal or a pipe. When nobody is there any more to read it (`... | head`, a connection
    that broke), the run goes on without: its log, verdict and report say all."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            return len(data)


def inherited() -> tuple[int, ...]:
    """File descriptors to hand to a child process (`subprocess.Popen(pass_fds=...)`)."""
    number = os.environ.get(CONSOLE_FD)
    return () if number is None else (int(number),)


def progress(target: Console) -> Progress:
    """A progress bar on a terminal; hidden elsewhere, where callers print plain lines."""
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[status]}"),
        _TimeLeft(),
        console=target,
        transient=True,
        disable=not target.is_terminal,
    )


class _TimeLeft(TimeRemainingColumn):
    def render(self, task: Task) -> Text:
        text = super().render(task)
        return text.append(" left") if text else text


def log_stack() -> None:
    """The stack of the error that is being handled, for the log."""
    with contextlib.suppress(OSError):  # its disk may be full
        traceback.print_exc()


def flush_standard_streams() -> None:
    """Flushes Python's own buffers, so that the log keeps the order of events."""
    sys.stdout.flush()
    sys.stderr.flush()
