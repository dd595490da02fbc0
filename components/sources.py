"""Where images come from. A source lists its files once and reads them in chunks.

Every source gives encoded bytes, an integer label and, where it has them, its own splits. Nothing
is decoded or judged here: that is `ingest.py`.
"""

import dataclasses
import hashlib
import io
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
    `data` the accounting, where it got that far, `findings` the text of its findings.csv when the
    step that wrote it is the one that refuses.
    """

    def __init__(self, sentence: str, gates: tuple[dict, ...] = (), data: dict | None = None):
        super().__init__(sentence)
        self.gates = gates
        self.data = data or {}
        self.findings = ""


@dataclasses.dataclass(frozen=True)
class RawImage:
    """One image as found: `split` is the source's own, or None where it has none.

    `label` is -1 where the source does not say, `size` in bytes; `problem` is the reason why there
    is no `data`.
    """

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
    ignored: tuple[str, ...] = ()

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


LISTED = ("folder", "tar", "zip")


def open_listed(kind: str, path: str):
    """The folder or archive at `path`; `kind` is folder, tar or zip.

    Raises ConfigError where there is none, DataRefused where it cannot be trained on.
    """
    if kind == "folder":
        from components.folder_source import FolderSource

        return FolderSource(path)
    from components.archive_source import TarSource, ZipSource

    return TarSource(path) if kind == "tar" else ZipSource(path)


def open_source(config: DataConfig):
    """The source that `config.source` names.

    Every source has `labels`, `splits` (its own, maybe none) and `ignored` (names of files that are
    no images), `fingerprint()`, `chunks()` and `read(chunk, max_bytes)`; it can be pickled, and so
    can its chunks.

    Raises ConfigError for an unknown source or an absent one, DataRefused for a folder or archive
    without images, with a single class, or damaged.
    """
    kind, _, rest = config.source.partition(":")
    if config.source == "digits":
        return DigitsSource()
    if kind in LISTED and rest:
        return open_listed(kind, rest)
    if kind == "tfds" and rest:
        from components.tfds_source import TfdsSource

        return TfdsSource(rest, config.dir, config.label)
    raise ConfigError(
        f"Unknown data.source {config.source!r}: expected digits, tfds:NAME, folder:PATH, tar:PATH "
        "or zip:PATH."
    )
