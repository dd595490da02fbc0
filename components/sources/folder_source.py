"""The user's own images in a folder."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from components.base.refusal import ConfigError
from components.sources.layout import Entry
from components.sources.listed_source import ListedSource, Unreadable, holds
from components.sources.source import Stamp, stamp, stamp_of
from serving.contract.clutter import is_clutter

_SHA256 = 64  # hexadecimal digits; no reason for having none is that long


class FolderSource(ListedSource):
    """`folder:PATH`: one folder per class, optionally under train/, val/ and test/.

    No symbolic link is followed and nothing but regular files is opened.
    """

    def __init__(self, path: str):
        self.path = Path(path).expanduser()
        if not holds(self.path, Path.is_dir):
            raise ConfigError(
                f"Folder {str(self.path)!r} does not exist (or is not a folder): "
                "give folder:PATH with one subfolder per class."
            )
        folders: list[str] = []
        super().__init__(f"folder:{self.path}", folders, list(_walk(str(self.path), folders)))

    def _stamp(self) -> Stamp:
        listed = ("", *self._folders, *(entry.path for entry in self._entries))
        top = str(self.path)
        return stamp(f"{top}/{path}" for path in listed)

    def _digest_all(self) -> str:
        """SHA-256 over the classes, the splits, and the names and contents of every file; of files
        among `contents` that have not changed since, nothing is read."""
        digest = hashlib.sha256(repr((self.labels, sorted(self.splits))).encode())
        before, self.contents, top = self.contents, {}, str(self.path)
        for entry in self._entries:
            if entry.problem:
                digest.update(entry.raw_path + b"\0" + entry.problem.encode())
                continue
            looks = stamp_of(f"{top}/{entry.path}")
            known = before.get(entry.path)
            if known is None or not looks or known[0] != looks:
                known = looks, self._digest(entry)
            if len(known[1]) == _SHA256:
                self.contents[entry.path] = known
            digest.update(entry.raw_path + b"\0" + known[1].encode())
        return digest.hexdigest()

    def _digest(self, entry: Entry) -> str:
        """The content's SHA-256, hexadecimal, or why there is none."""
        try:
            digest = hashlib.sha256()
            with self._opened(entry) as (file, _):
                while part := file.read(2**20):
                    digest.update(part)
            return digest.hexdigest()
        except Unreadable as error:
            return str(error)

    @contextlib.contextmanager
    def _opened(self, entry: Entry) -> Iterator[tuple[BinaryIO, int]]:
        """Opened without following a link or blocking on a FIFO, whatever the listing saw."""
        path = os.path.join(self.path, entry.path)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise Unreadable("not_a_regular_file")
                yield file, status.st_size
        except OSError as error:
            if os.path.islink(path):
                raise Unreadable("symbolic_link") from error
            raise Unreadable(f"unreadable: {error.strerror}") from error


def _walk(root: str, folders: list[str]) -> Iterator[Entry]:
    """Files in order of their names, a folder's own before those of its subfolders.

    `folders` is filled with the paths of the folders, none of them a link.
    """
    waiting = [""]
    while waiting:
        inner, deeper = waiting.pop(), []
        try:
            with os.scandir(os.path.join(root, inner)) as scanned:
                listing = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            raise ConfigError(
                f"Folder {error.filename!r} cannot be listed ({error.strerror}): make it readable, "
                "as images must not be left out unnoticed."
            ) from error
        for found in listing:
            path = f"{inner}/{found.name}" if inner else found.name
            if found.is_dir(follow_symlinks=False) and not is_clutter(found.name):
                deeper.append(path)
            else:
                yield Entry(path, _problem(found))
        folders += deeper
        waiting += reversed(deeper)


def _problem(found: os.DirEntry) -> str | None:
    if found.is_symlink():
        return "symbolic_link"
    return None if found.is_file(follow_symlinks=False) else "not_a_regular_file"
