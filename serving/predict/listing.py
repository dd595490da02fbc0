"""The files of a folder, and the bytes of one: nothing that lies there can stop the rest.

No link is followed and nothing but plain files is opened. Standard library only.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from serving.contract.clutter import is_clutter
from serving.store.files import read_plain

MAX_BYTES = 20 * 2**20
"""Of a file, as in a run (`data.max_file_mib`)."""


class Found(NamedTuple):
    """A file by its path relative to the folder, with `/`; `problem` says why it is not opened."""

    path: str
    problem: str = ""


def files(folder: Path, without: Collection[Path] = ()) -> Iterator[Found]:
    """All files at any depth, in order of their names, a folder's own before those of its
    subfolders; hidden ones, what operating systems leave, and those `without` are passed over.

    Holds the names of one folder at a time, and those of the folders that wait.
    """
    skipped = {os.path.realpath(path) for path in without}
    top = os.path.realpath(folder)
    waiting = [""]
    while waiting:
        inner, deeper = waiting.pop(), []
        try:
            with os.scandir(os.path.join(top, inner)) as scanned:
                listing = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield Found(inner or ".", f"the folder cannot be listed: {error.strerror}")
            continue
        for entry in listing:
            path = f"{inner}/{entry.name}" if inner else entry.name
            if is_clutter(entry.name) or entry.path in skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                deeper.append(path)
            elif entry.is_symlink():
                yield Found(path, "it is a symbolic link")
            else:
                yield Found(path)
        waiting += reversed(deeper)


def content(path: Path) -> bytes:
    """The file's bytes. Raises OSError when it is no plain file, larger than `MAX_BYTES`, or cannot
    be read."""
    return read_plain(path, MAX_BYTES)


def readable(path: str) -> str:
    """A path for people and tables: what is no UTF-8 in it is written with escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
