"""`--sort INTO`: a copy of each file under INTO/LABEL/, and of those that are unsure apart.

    INTO/.darkroom-sorted.jsonl     by what they were sorted; then every file and where its copy is
    INTO/.tmp-*                     a copy that is not whole yet; the next sorting removes it
    INTO/LABEL/NAME, INTO/_unsure/NAME

Nothing is moved, and no file that is there is written to: a copy appears whole and under a name
that is free. The same sorting again, after an interruption for instance, goes on where it ended.
Standard library only.
"""

import collections
import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from serving.store.files import lock_directory, open_plain, temporary_name

JOURNAL = ".darkroom-sorted.jsonl"
UNSURE = "_unsure"
_LONGEST = 255  # bytes of a file's name
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems say that have no hard links."""


class CannotSort(ValueError):
    """The folder is not one to sort into; the message says why and what would be."""


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """The folder of each label: the label, but for what no folder can be called.

    No two are the same, as the sign of what is replaced is replaced itself.
    """
    return {label: _folder_name(label) for label in labels}


def _folder_name(label: str) -> str:
    safe = "".join(f"%{ord(c):02X}" if c in "%/\\\0" or ord(c) < 32 else c for c in label)
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe or "%"


def unsure_folder(labels: Iterable[str]) -> str:
    """`_unsure`, with more underscores where a class is called that."""
    taken, name = {folder.casefold() for folder in folder_names(labels).values()}, UNSURE
    while name in taken:
        name = f"_{name}"
    return name


class Sorted:
    """The folder that files of `source` are sorted into; `settings` tell this sorting from others.
    A context manager, within which `copy` may be called; entering it raises CannotSort where
    another process sorts into that folder, OSError where nothing can be written there."""

    def __init__(self, into: Path, source: Path, settings: dict[str, Any]):
        """Raises CannotSort for a folder that lies in `source` or around it, or holds other things
        than an earlier output of the same sorting; OSError when it cannot be read."""
        self.into, self._source = Path(os.path.realpath(into)), Path(os.path.realpath(source))
        for inner, outer in ((self.into, self._source), (self._source, self.into)):
            if inner.is_relative_to(outer):
                raise CannotSort(
                    f"{into} and {source} lie within each other: expected a folder beside {source}."
                )
        self._settings = json.loads(json.dumps(settings | {"folder": str(self._source)}))
        self._targets: dict[str, str] = {}
        self._reserved: set[str] = set()
        self._numbers: collections.Counter[str] = collections.Counter()
        self._journal: IO[str]
        if self.into.exists():
            self._read_earlier(into)

    def _read_earlier(self, into: Path) -> None:
        try:
            if not os.listdir(self.into):
                return
            first, *rest = (self.into / JOURNAL).read_text("utf-8").splitlines()
            earlier = dict(json.loads(first))
            if earlier.keys() != self._settings.keys():
                raise ValueError(f"{first} is of something else")
        except NotADirectoryError as error:
            raise CannotSort(f"{into} is not a folder: expected a new or an empty one.") from error
        except (FileNotFoundError, TypeError, ValueError) as error:
            raise CannotSort(
                f"{into} is not empty, and not an earlier output of this: expected a new or an "
                "empty folder."
            ) from error
        if earlier != self._settings:
            differs = [k for k, v in self._settings.items() if earlier.get(k) != v]
            raise CannotSort(
                f"{into} holds what was sorted with another {' and '.join(differs)}: expected a "
                "new or an empty folder."
            )
        for line in rest:
            # The last line may be torn: its copy was not made.
            with contextlib.suppress(ValueError, KeyError):
                entry = json.loads(line)
                self._targets[entry["file"]] = entry["copy"]
        self._reserved = set(self._targets.values())

    def __enter__(self) -> "Sorted":
        self.into.mkdir(parents=True, exist_ok=True)
        descriptor = lock_directory(self.into)
        if descriptor is None:
            raise CannotSort(f"another process is sorting into {self.into}: wait for its end.")
        self._lock = descriptor
        for left in self.into.glob(".tmp-*"):
            left.unlink()
        torn = self._torn()
        self._journal = (self.into / JOURNAL).open("a", encoding="utf-8")
        if self._journal.tell() == 0:
            self._note(self._settings)
        elif torn:
            self._journal.write("\n")
        return self

    def _torn(self) -> bool:
        """Whether the journal ends within a line, where its writer was killed."""
        with contextlib.suppress(OSError), (self.into / JOURNAL).open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
        return False

    def __exit__(self, *_: object) -> None:
        self._journal.close()
        os.close(self._lock)

    def copy(self, path: str, folder: str) -> str:
        """Copies the file of that path into the folder INTO/`folder`, unless an earlier sorting
        did; returns the copy's path in INTO. Raises OSError, and leaves nothing behind then."""
        source, earlier = self._source / path, self._targets.get(path, "")
        if not earlier.startswith(f"{folder}/"):
            earlier = ""
        if earlier and _same(source, self.into / earlier):
            return earlier
        free = earlier and not os.path.lexists(self.into / earlier)
        target = earlier if free else self._free(folder, source.name)
        # Known before it is there: what a killed sorting copied is not copied again.
        self._targets[path] = target
        self._reserved.add(target)
        self._note({"file": path, "copy": target})
        self._place(source, self.into / target)
        return target

    def _note(self, entry: dict) -> None:
        self._journal.write(json.dumps(entry) + "\n")
        self._journal.flush()

    def _free(self, folder: str, name: str) -> str:
        """`folder/name`, or the first name with a number that neither is there nor is to be."""
        stem, ending = os.path.splitext(name)
        while True:
            number = self._numbers[f"{folder}/{name}"] = self._numbers[f"{folder}/{name}"] + 1
            suffix, cut = ("" if number == 1 else f"-{number}") + ending, stem
            while len(os.fsencode(cut + suffix)) > _LONGEST:
                cut = cut[:-1]
            target = f"{folder}/{cut}{suffix}"
            if target not in self._reserved and not os.path.lexists(self.into / target):
                return target

    def _place(self, source: Path, target: Path) -> None:
        with contextlib.suppress(FileExistsError):
            target.parent.mkdir()
        if target.parent.is_symlink() or not target.parent.is_dir():
            raise NotADirectoryError(f"{target.parent} is not a plain folder")
        with _temporary(self.into) as temporary:
            with open_plain(source) as original, temporary.open("xb") as copy:
                shutil.copyfileobj(original, copy, 2**20)
                copy.flush()
                os.fsync(copy.fileno())
                status = os.fstat(original.fileno())
            os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
            try:
                os.link(temporary, target)  # fails where something is, which a rename would replace
            except OSError as error:
                if error.errno not in _NO_LINKS or os.path.lexists(target):
                    raise
                os.rename(temporary, target)


@contextlib.contextmanager
def _temporary(directory: Path) -> Iterator[Path]:
    path = temporary_name(directory)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    """Whether both are there and hold the same bytes."""
    try:
        with open_plain(one) as a, open_plain(other) as b:
            if os.fstat(a.fileno()).st_size != os.fstat(b.fileno()).st_size:
                return False
            while part := a.read(2**20):
                if part != b.read(len(part)):
                    return False
            return True
    except OSError:
        return False
