"""The output root of a run or a search: outside of the images, writable, held by one at a time."""

import contextlib
import datetime
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from components.base import disk
from components.base.refusal import ConfigError, Locked

LOCK = ".lock"


def check_outside(root: Path, source: str) -> None:
    """Raises ConfigError when the output would lie among the images it is made from."""
    kind, _, path = source.partition(":")
    if kind == "folder" and root.is_relative_to(Path(path).expanduser().resolve()):
        raise ConfigError(
            f"Output root {str(root)!r} lies inside the image folder {path!r}, where it would "
            "become a class of its own: pass root=PATH outside of it."
        )


def writable(root: Path) -> Path:
    """`root`, made if need be. Raises ConfigError when it cannot be written to."""
    probe = root / f".probe-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        if disk.is_full(error):
            raise disk.disk_full(root) from error
        raise ConfigError(
            f"Output root {str(root)!r} is not writable ({error.strerror}): "
            "pass root=PATH with a folder you may write to."
        ) from error
    return root


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Raises Locked (exit code 75), naming the holder, while another process is in here."""
    descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    with open(descriptor, "r+") as file:
        if not _lock(file):
            raise Locked(
                f"Another run is using {str(root)!r} ({_read(file)}): wait for it, or pass another "
                "root=PATH."
            )
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        who = f"process {os.getpid()} since {now}".encode()
        with contextlib.suppress(OSError):  # over what is there, which takes no room
            os.ftruncate(file.fileno(), os.pwrite(file.fileno(), who, 0))
        yield


def _lock(file: TextIO) -> bool:
    """Tries for half a second: `holder` holds it for a moment, too."""
    ending = time.monotonic() + 0.5
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > ending:
                return False
            time.sleep(0.05)


def holder(root: Path) -> str | None:
    """Who is in here, as a person reads it; None when nobody is."""
    try:
        with open(root / LOCK) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(file)
    except FileNotFoundError:
        pass
    return None


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read(200) or "its process has not said who it is"
