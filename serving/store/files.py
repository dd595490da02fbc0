"""Durable file operations: what a power cut or a SIGKILL must not leave half done.

Standard library only. A rename within one file system is the only step others can observe, and it
happens after everything it reveals has reached the disk.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path


def open_plain(path: Path) -> BufferedReader:
    """The regular file at `path`, for reading: no link is followed at its end, no pipe waited for,
    no device opened. Raises OSError.

    A file with several hard links is as good as any other: the links are names of one file.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    # What lies there may have been replaced since.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file", str(path))
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_plain(path: Path, most: int) -> bytes:
    """What `open_plain` opens, of at most so many bytes. Raises OSError."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > most else file.read(most + 1)
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return data


def sha256(path: Path) -> str:
    """Hex SHA-256 of a plain file's content."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_directory(path: Path) -> None:
    """Flushes a directory's entries, without which a rename or a new file may not survive."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Creates `path` and its parents, durably. The modes follow the umask: containers read them."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def copy_durably(source: Path, target: Path) -> None:
    """Copies content (never a link: the source may be rewritten later) and flushes it."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def temporary_name(scratch: Path) -> Path:
    """An unused path in `scratch`, recognisable as left over (`.tmp-*`) should its writer die."""
    return scratch / f".tmp-{secrets.token_hex(8)}"


def replace_text(path: Path, text: str, scratch: Path) -> None:
    """Makes `path` hold `text` in one step: readers see the old file or the new one.

    The file is prepared in `scratch`, on the same file system. Nothing is touched when the text is
    already there: servers that poll modification times would reload for nothing.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    temporary = temporary_name(scratch)
    with temporary.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def replace_link(path: Path, target: str, scratch: Path) -> None:
    """Makes `path` a symbolic link with the relative text `target`, in one step."""
    with contextlib.suppress(OSError):
        if os.readlink(path) == target:
            return
    temporary = temporary_name(scratch)
    os.symlink(target, temporary)
    os.replace(temporary, path)
    sync_directory(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive flock on the file `path`; the kernel releases it when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def lock_directory(path: Path) -> int | None:
    """A descriptor holding an exclusive flock on the directory, or None when another holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
