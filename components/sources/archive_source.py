"""The user's own images in a tar or zip archive, read where they lie: nothing is unpacked.

What an archive says of its members is not trusted: names are only names, sizes only bounds.
"""

import abc
import bz2
import contextlib
import functools
import gzip
import hashlib
import lzma
import stat
import tarfile
import weakref
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from components.base.refusal import ConfigError, DataRefused
from components.sources.layout import OUTSIDE_ARCHIVE, Entry
from components.sources.listed_source import ListedSource, Unreadable, holds
from components.sources.source import Stamp, stamp

_Mode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
_COMPRESSIONS: tuple[tuple[bytes, _Mode, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", "r:gz", gzip.open),
    (b"BZh", "r:bz2", bz2.open),
    (b"\xfd7zXZ\0", "r:xz", lzma.open),
)
_MAX_HEADER = 2**20
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that zipfile expands no further than it is asked to; a few KiB of others can be a GiB."""


class ArchiveSource(ListedSource):
    """What tar and zip have in common: a file that is listed whole before anything is read.

    Subclasses fill `folders` and give the entries in the order of the archive, and `_open`, which
    opens the archive for reading members.

    Raises ConfigError where there is no such archive, DataRefused for a damaged one.
    """

    _KIND = ""
    _UNWRAP = True

    def __init__(self, path: str):
        self.path = Path(path).expanduser()
        if not holds(self.path, Path.is_file):
            raise ConfigError(
                f"Archive {str(self.path)!r} does not exist (or is not a file): give "
                f"{self._KIND}:PATH (after a preset, data.source={self._KIND}:PATH) with one "
                "folder per class in it."
            )
        folders: list[str] = []
        try:
            entries = _only_the_last(list(self._list(folders)))
        except (ConfigError, DataRefused):
            raise
        except Exception as error:  # damaged archives make the libraries raise whatever they like
            raise self._damaged(error) from error
        super().__init__(f"{self._KIND}:{self.path}", folders, entries)
        self._entries.sort(key=lambda entry: entry.place)

    def __getstate__(self) -> dict:
        return {k: v for k, v in super().__getstate__().items() if k != "_archive"}

    @abc.abstractmethod
    def _list(self, folders: list[str]) -> Iterator[Entry]:
        """The archive's files in its order; fills `folders` with the paths of its folders."""

    @abc.abstractmethod
    def _open(self) -> tarfile.TarFile | zipfile.ZipFile:
        """The archive, for reading members."""

    @functools.cached_property
    def _archive(self) -> Any:
        """What `_open` gives, kept open from chunk to chunk: to list a large zip anew for each
        would cost seconds."""
        archive = self._open()
        weakref.finalize(self, archive.close)
        return archive

    def _stamp(self) -> Stamp:
        return stamp([self.path])

    def _digest_all(self) -> str:
        """SHA-256 of the archive and the classes and splits that were found in it."""
        with open(self.path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        found = repr((self.labels, sorted(self.splits), content))
        return hashlib.sha256(found.encode()).hexdigest()

    def _damaged(self, error: Exception) -> DataRefused:
        words = " ".join(str(error).split()) or type(error).__name__
        return DataRefused(
            f"Archive {str(self.path)!r} is damaged or cut short ({words}): images must not be "
            "left out unnoticed; make or download it again."
        )

    def _no_archive(self) -> ConfigError:
        return ConfigError(f"{str(self.path)!r} is not a {self._KIND} archive.")


class TarSource(ArchiveSource):
    """`tar:PATH`: plain or compressed with gzip, bzip2 or xz.

    A compressed archive is decompressed from its start for every chunk that does not follow the
    one before: large sets are read faster from a plain one.
    """

    _KIND = "tar"

    def _list(self, folders: list[str]) -> Iterator[Entry]:
        _, decompress = _compression(self.path)
        with decompress(self.path, "rb") as stream:
            headers: Any = _Headers(stream)  # has what listing needs of a file
            try:
                tar = tarfile.open(fileobj=headers, mode="r:")
            except tarfile.ReadError as error:
                while stream.read(2**20):  # damage would show by the end of a compressed one
                    pass
                raise self._no_archive() from error
            with tar:
                offset = -1
                while member := tar.next():
                    if tar.offset <= offset:  # a negative size would have it read in circles
                        raise tarfile.ReadError("a member of negative size")
                    offset = tar.offset
                    # tarfile keeps each one, a KiB of memory.
                    tar.members.clear()  # type: ignore[attr-defined]  # missing in typeshed
                    inner = _inside(member.name)
                    if not member.isdir():
                        yield _entry(
                            member.name, _tar_problem(member), member.offset_data, member.size
                        )
                    elif inner:
                        folders.append(inner)
                _require_end(stream, tar.offset)

    def _open(self) -> tarfile.TarFile:
        mode, _ = _compression(self.path)
        return tarfile.open(self.path, mode)

    @contextlib.contextmanager
    def _opened(self, entry: Entry) -> Iterator[tuple[BinaryIO, int]]:
        member = tarfile.TarInfo(entry.path)
        member.offset_data, member.size = entry.place, entry.size
        try:
            with self._archive.extractfile(member) as file:
                yield file, entry.size
        except (tarfile.TarError, EOFError, OSError, lzma.LZMAError) as error:
            raise self._damaged(error) from error  # it was whole when it was listed


class ZipSource(ArchiveSource):
    """`zip:PATH`: members stored or deflated."""

    _KIND = "zip"

    def _list(self, folders: list[str]) -> Iterator[Entry]:
        try:
            archive = self._open()
        except zipfile.BadZipFile as error:
            with open(self.path, "rb") as file:
                if file.read(2) == b"PK":
                    raise
            raise self._no_archive() from error
        with archive:
            for number, member in enumerate(archive.infolist()):
                if not member.is_dir():
                    yield _entry(member.filename, _zip_problem(member), number, member.file_size)
                elif inner := _inside(member.filename):
                    folders.append(inner)

    def _open(self) -> zipfile.ZipFile:
        try:  # macOS writes UTF-8 names without saying so
            return zipfile.ZipFile(self.path, metadata_encoding="utf-8")
        except UnicodeDecodeError:
            return zipfile.ZipFile(self.path)

    @contextlib.contextmanager
    def _opened(self, entry: Entry) -> Iterator[tuple[BinaryIO, int]]:
        try:
            with self._archive.open(self._archive.infolist()[entry.place]) as file:
                yield file, entry.size
        except Exception as error:  # noqa: BLE001 - zipfile raises whatever it likes on bad members
            raise Unreadable("damaged_in_archive") from error


class _Headers:
    """What tarfile lists an archive through: no header, true or false, is read beyond a MiB."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _compression(path: Path) -> tuple[_Mode, Callable[..., Any]]:
    """tarfile's mode for a file's compression and what opens it."""
    with open(path, "rb") as file:
        head = file.read(8)
    for magic, mode, decompress in _COMPRESSIONS:
        if head.startswith(magic):
            return mode, decompress
    return "r:", open


def _inside(name: str) -> str | None:
    """A member's name in its simplest form; None where it is absolute, climbs or says nothing."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        return None
    return "/".join(parts) or None


def _entry(name: str, problem: str | None, place: int, size: int) -> Entry:
    inner = _inside(name)
    return Entry(inner or name, problem if inner else OUTSIDE_ARCHIVE, place, size)


def _tar_problem(member: tarfile.TarInfo) -> str | None:
    if member.issym():
        return "symbolic_link"
    if member.islnk():
        return "hard_link"
    return None if member.isreg() and not member.issparse() else "not_a_regular_file"


def _zip_problem(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "symbolic_link"
    if kind not in (0, stat.S_IFREG):
        return "not_a_regular_file"
    if member.flag_bits & 1:
        return "encrypted"
    return None if member.compress_type in _ZIP_METHODS else "unsupported_compression"


def _only_the_last(entries: list[Entry]) -> list[Entry]:
    """Of several members with one name the last counts, as it would when unpacking."""
    last = {entry.path: number for number, entry in enumerate(entries)}
    return [
        entry
        if last[entry.path] == number or entry.problem == OUTSIDE_ARCHIVE
        else entry._replace(problem="replaced_in_archive")
        for number, entry in enumerate(entries)
    ]


def _require_end(stream: BinaryIO, offset: int) -> None:
    """Raises ReadError unless the archive ends at `offset`: tarfile takes damage for the end."""
    stream.seek(offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end-of-archive mark after its last member")
    while block := stream.read(2**20):
        if block.strip(b"\0"):
            raise tarfile.ReadError("more data after its end-of-archive mark")
