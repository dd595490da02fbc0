"""Where images come from. A source lists its files once and reads them in chunks.

Every source gives encoded bytes, an integer label and, where it has them, its own splits. Nothing
is decoded or judged here: that is `ingest.py`.
"""

import dataclasses
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import ConfigError, DataConfig

CHUNK = 2500
"""Images per unit of work: bounds the memory of a worker and names its output shard."""

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}


class DataRefused(ValueError):
    """The data cannot be trained on; the run ends with exit code 4.

    `gates` holds the checks that were made, as dictionaries with the keys of `gates.GateResult`;
    `data` the accounting, where it got that far.
    """

    def __init__(self, sentence: str, gates: tuple[dict, ...] = (), data: dict | None = None):
        super().__init__(sentence)
        self.gates = gates
        self.data = data or {}


@dataclasses.dataclass(frozen=True)
class RawImage:
    """One image as found: `split` is the source's own, or None where it has none."""

    name: str
    data: bytes | None
    label: int
    split: str | None
    problem: str | None = None
    size: int = 0


class DigitsSource:
    """scikit-learn's bundled handwritten digits: 1,797 grey images of 8x8, ten classes."""

    labels = tuple("0123456789")
    splits: frozenset[str] = frozenset()

    def fingerprint(self) -> str:
        """SHA-256 of the bundled file."""
        import sklearn.datasets

        bundled = Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"
        return hashlib.sha256(bundled.read_bytes()).hexdigest()

    def chunks(self) -> list[dict]:
        return [{"start": s, "stop": min(s + 600, 1797)} for s in range(0, 1797, 600)]

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        import numpy as np
        from PIL import Image
        from sklearn.datasets import load_digits

        digits = load_digits()
        for row in range(chunk["start"], chunk["stop"]):
            pixels = np.round(digits.images[row] * (255 / 16)).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            yield RawImage(f"digits/{row}", buffer.getvalue(), int(digits.target[row]), None)


class FolderSource:
    """The user's own images: one folder per class, optionally under train/, val/ and test/.

    Class folders are searched to any depth; names that begin with a dot are passed over.
    No symbolic link is followed and nothing but regular files is opened.
    """

    def __init__(self, path: str):
        self.path = Path(path).expanduser()
        if not _is_folder(self.path):
            raise ConfigError(
                f"Folder {str(self.path)!r} does not exist (or is not a folder): "
                "give folder:PATH with one subfolder per class."
            )
        self._roots = self._split_roots()
        self.splits = frozenset(split for split in self._roots if split)
        names = {name for root in self._roots.values() for name in self._folders(root)}
        self.labels = tuple(sorted(names))
        self._files = list(self._listing())
        if not self._files:
            raise DataRefused(
                f"No images in {str(self.path)!r}: expected one subfolder per class with "
                "JPEG, PNG, GIF, BMP or WEBP files in it."
            )
        if len(self.labels) < 2:
            raise DataRefused(
                f"Only one class ({self.labels[0]!r}) in {str(self.path)!r}: a classifier needs "
                "at least two subfolders, one per class."
            )

    def __getstate__(self) -> dict:
        """What a worker needs to read a chunk: not the listing, which is in the chunks."""
        return self.__dict__ | {"_files": []}

    def _split_roots(self) -> dict[str | None, Path]:
        """`{None: path}`, or the folders of the splits where all subfolders are named like that.

        Raises DataRefused where the two are mixed: which images are meant could only be guessed.
        """
        top = self._folders(self.path)
        own = {name: SPLIT_NAMES[name.lower()] for name in top if name.lower() in SPLIT_NAMES}
        if not any(self._folders(self.path / name) for name in own):
            return {None: self.path}
        if len(own) < len(top) or len(set(own.values())) < len(own) or "train" not in own.values():
            raise DataRefused(
                f"{str(self.path)!r} has the subfolders {', '.join(top)}: expected either one per "
                "class, or train and optionally val and test (once each) with the classes inside."
            )
        return {split: self.path / name for name, split in own.items()}

    @staticmethod
    def _folders(path: Path) -> list[str]:
        with os.scandir(path) as entries:
            names = sorted(
                e.name
                for e in entries
                if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
            )
        for name in names:
            if not name.isprintable():
                raise DataRefused(
                    f"Folder name {name!r} in {str(path)!r} is not printable text (UTF-8): it "
                    "would become a class name; rename it."
                )
        return names

    def _listing(self) -> Iterator[tuple[str | None, int, Path]]:
        for split, root in self._roots.items():
            for label, name in enumerate(self.labels):
                if not (root / name).is_dir():
                    continue  # a class that this split has no folder for
                for directory, folders, files in os.walk(root / name, onerror=_raise):
                    folders[:] = sorted(f for f in folders if not f.startswith("."))
                    for file in sorted(f for f in files if not f.startswith(".")):
                        yield split, label, Path(directory) / file

    def fingerprint(self) -> str:
        """SHA-256 over the classes, the splits, and the names and contents of every file."""
        digest = hashlib.sha256(repr((self.labels, sorted(self.splits))).encode())
        for _, _, path in self._files:
            digest.update(os.fsencode(path.relative_to(self.path)) + b"\0")
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def sample(self, count: int) -> list[Path]:
        """Up to `count` regular files spread evenly over the listing."""
        step = max(1, len(self._files) // count)
        paths = [path for _, _, path in self._files[::step]][:count]
        return [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]

    def counts(self) -> list[int]:
        """Number of files of each class, in label order."""
        counts = [0] * len(self.labels)
        for _, label, _ in self._files:
            counts[label] += 1
        return counts

    def chunks(self) -> list[dict]:
        return [
            {"files": [(split, label, os.fsencode(path).hex()) for split, label, path in part]}
            for part in (self._files[i : i + CHUNK] for i in range(0, len(self._files), CHUNK))
        ]

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        for split, label, encoded in chunk["files"]:
            path = os.fsdecode(bytes.fromhex(encoded))
            name = os.fsencode(os.path.relpath(path, self.path)).decode("utf-8", "replace")
            data, size, problem = _read_regular_file(path, max_bytes)
            yield RawImage(name, data, label, split, problem, size)


def _is_folder(path: Path) -> bool:
    try:
        os.fsencode(path).decode()
        return path.is_dir()
    except (OSError, UnicodeError):  # a name too long, or not UTF-8
        return False


def _raise(error: OSError) -> None:
    raise ConfigError(
        f"Folder {error.filename!r} cannot be listed ({error.strerror}): make it readable, as "
        "images must not be left out unnoticed."
    ) from error


def _read_regular_file(path: str, max_bytes: int) -> tuple[bytes | None, int, str | None]:
    """(bytes, size, problem): opened without following a link or blocking on a FIFO."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return None, 0, "symbolic_link" if os.path.islink(path) else f"unreadable: {error.strerror}"
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None, 0, "not_a_regular_file"
        if status.st_size > max_bytes:
            return None, status.st_size, "file_too_large"
        return file.read(), status.st_size, None


def open_source(config: DataConfig):
    """The source that `config.source` names.

    Raises ConfigError for an unknown source or an absent folder or data set, DataRefused for a
    folder without images or with a single class.
    """
    kind, _, rest = config.source.partition(":")
    if config.source == "digits":
        return DigitsSource()
    if kind == "folder" and rest:
        return FolderSource(rest)
    if kind == "tfds" and rest:
        from components.tfds_source import TfdsSource

        return TfdsSource(rest, config.dir)
    raise ConfigError(
        f"Unknown data.source {config.source!r}: expected digits, tfds:NAME or folder:PATH."
    )
