"""What folders and archives have in common once their files are listed."""

import abc
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from components.sources.layout import Entry, arrange, readable
from components.sources.source import CHUNK, RawImage, Stamp

_HEAD = 32  # bytes that tell a file's type


Contents = dict[str, tuple[str, str]]
"""Of files by path: size, time and inode as text, and the content's SHA-256."""


class Unreadable(Exception):
    """A single file cannot be read; its text is the reason it is quarantined with."""


def holds(path: Path, test: Callable[[Path], bool]) -> bool:
    """`test(path)`, and False for what no file can be called: too long a name, or not UTF-8."""
    try:
        os.fsencode(path).decode()
        return test(path)
    except (OSError, UnicodeError):
        return False


class ListedSource(abc.ABC):
    """What folders and archives have in common once their files are listed.

    `contents` are those of the files that were looked at; where none was, `look_up` gives those of
    an earlier look at the same files. Subclasses give `_opened(entry)`, a context manager of
    (binary file, size in bytes), or raise Unreadable from it; for archives, entries are asked for
    in the order they were listed in.
    """

    _UNWRAP = False

    def __init__(self, source: str, folders: list[str], entries: Iterable[Entry]):
        layout = arrange(source, folders, entries, self._head, self._UNWRAP)
        self.labels, self.splits, self.ignored = layout.labels, layout.splits, layout.ignored
        self._entries, self._folders = layout.entries, list(folders)
        self.contents: Contents = {}
        self.look_up: Callable[[], Contents] = dict
        self.listed, self._taken = self._stamp(), ""

    def __getstate__(self) -> dict:
        """What a worker needs to read a chunk: not the listing, which is in the chunks."""
        return self.__dict__ | {
            "_entries": [],
            "_folders": [],
            "ignored": (),
            "contents": {},
            "look_up": dict,
        }

    @abc.abstractmethod
    def _opened(self, entry: Entry) -> contextlib.AbstractContextManager[tuple[BinaryIO, int]]:
        """The entry's content and its size in bytes."""

    @abc.abstractmethod
    def _stamp(self) -> Stamp:
        """The `stamp` of all that it consists of."""

    @abc.abstractmethod
    def _digest_all(self) -> str:
        """See `Source.fingerprint`."""

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        self.take(self._digest_all())
        return self._taken

    def take(self, fingerprint: str) -> None:
        """See `Source.take`."""
        self._taken = fingerprint

    def still(self, fingerprint: str) -> bool:
        """See `Source.still`."""
        return self._taken == fingerprint and "" != self.listed.digest == self._stamp().digest

    def _head(self, entry: Entry) -> bytes:
        try:
            with self._opened(entry) as (file, _):
                return file.read(_HEAD)
        except Unreadable:
            return b""

    def counts(self) -> list[int]:
        """Number of files of each class, in label order."""
        counts = [0] * len(self.labels)
        for entry in self._entries:
            if entry.label >= 0:
                counts[entry.label] += 1
        return counts

    def sample(self, count: int) -> Iterator[tuple[int, BinaryIO]]:
        """(class, file) of up to `count` files spread evenly over the listing, each open until the
        next one."""
        good = [entry for entry in self._entries if not entry.problem]
        for number in range(min(count, len(good))):
            entry = good[number * len(good) // min(count, len(good))]
            with contextlib.suppress(Unreadable), self._opened(entry) as (file, _):
                yield entry.label, file

    def chunks(self) -> list[dict]:
        """Units of work, with the files' `contents` where they are known; names travel as
        hexadecimal, as not all of them are text."""
        chunks, contents = [], self.contents or self.look_up()
        for start in range(0, len(self._entries), CHUNK):
            entries = self._entries[start : start + CHUNK]
            chunk: dict = {"files": [(e.raw_path.hex(), *e[1:]) for e in entries]}
            if contents:
                chunk["contents"] = [contents.get(e.path, ("", ""))[1] for e in entries]
            chunks.append(chunk)
        return chunks

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        """The images of a chunk, in order; of a larger file than `max_bytes` only its size."""
        for file in chunk["files"]:
            entry = _entry(file)
            data, size, problem = self._content(entry, max_bytes)
            yield RawImage(readable(entry.path), data, entry.label, entry.split, problem, size)

    def _content(self, entry: Entry, max_bytes: int) -> tuple[bytes | None, int, str | None]:
        """(bytes, size, problem); a size that was understated is found out by one byte more."""
        if entry.problem:
            return None, entry.size, entry.problem
        try:
            with self._opened(entry) as (file, size):
                data = file.read(max_bytes + 1) if size <= max_bytes else b""
        except Unreadable as error:
            return None, entry.size, str(error)
        if size > max_bytes or len(data) > max_bytes:
            return None, max(size, len(data)), "file_too_large"
        return data, len(data), None


def unread(file: tuple) -> RawImage:
    """A file of a chunk as it was listed, without its bytes."""
    entry = _entry(file)
    return RawImage(readable(entry.path), None, entry.label, entry.split, entry.problem, entry.size)


def _entry(file: tuple) -> Entry:
    raw_path, *rest = file
    return Entry(bytes.fromhex(raw_path).decode("utf-8", "surrogateescape"), *rest)
