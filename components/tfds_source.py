"""TensorFlow Datasets as a source: prepared sets are read, absent ones downloaded through TFDS.

The library is imported where it is used: opening a set costs a second, reading it imports
TensorFlow.
"""

import contextlib
import difflib
import hashlib
import os
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from components.sources import CHUNK, SPLIT_NAMES, RawImage
from pipeline.config import ConfigError

_BATCH = 256


class TfdsSource:
    """`tfds:NAME`: an image classification set with features `image` and `label`."""

    def __init__(self, name: str, data_dir: str | None):
        self._name, self._data_dir = name, data_dir
        builder = self._builder()
        features = builder.info.features
        try:
            self.labels = tuple(features["label"].names)
            self.image_shape = tuple(features["image"].shape)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"TFDS set {name!r} has features {sorted(features)}: expected `image` and a "
                "`label` that is a ClassLabel."
            ) from error
        self._counts = {
            split: info.num_examples
            for split, info in builder.info.splits.items()
            if split in SPLIT_NAMES
        }
        self.splits = frozenset(SPLIT_NAMES[split] for split in self._counts)
        if "train" not in self.splits:
            raise ConfigError(
                f"TFDS set {name!r} has splits {sorted(builder.info.splits)}: expected `train`."
            )
        self.images = sum(self._counts.values())
        self.directory = Path(builder.data_path)

    def _builder(self):
        import tensorflow_datasets as tfds

        try:
            builder = tfds.builder(self._name, data_dir=self._data_dir)
        except tfds.core.registered.DatasetNotFoundError as error:
            # Its message lists every set's name; TFDS's own function for that loads TensorFlow.
            names = re.findall(r"^\s+- (\w+)$", str(error), re.MULTILINE)
            close = difflib.get_close_matches(self._name, names, n=1, cutoff=0.0) or ["mnist"]
            raise ConfigError(
                f"TFDS has no set {self._name!r}: did you mean {close[0]!r}?"
            ) from error
        if not Path(builder.data_path).is_dir():
            prepare(builder)
        return builder

    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of the prepared files."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.directory.iterdir() if p.is_file()):
            digest.update(os.fsencode(path.name) + b"\0")
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def chunks(self) -> list[dict]:
        return [
            {"split": split, "start": start, "stop": min(start + 2 * CHUNK, count)}
            for split, count in self._counts.items()
            for start in range(0, count, 2 * CHUNK)
        ]

    def read(self, chunk: dict, max_bytes: int) -> Iterator[RawImage]:
        import tensorflow_datasets as tfds

        split, start, stop = chunk["split"], chunk["start"], chunk["stop"]
        rows = self._builder().as_dataset(
            split=f"{split}[{start}:{stop}]",
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        row = start
        # In batches: stepping through TensorFlow once per image costs more than decoding it.
        for batch in rows.batch(_BATCH).as_numpy_iterator():
            for data, label in zip(batch["image"], batch["label"]):
                name = f"{self._name}/{split}/{row}"
                yield RawImage(name, data, int(label), SPLIT_NAMES[split])
                row += 1


def prepare(builder) -> None:
    """Downloads and prepares a `tfds.core.DatasetBuilder`; TFDS checks the files' checksums.

    Raises ConfigError without a network and when the download fails.
    """
    absent = (
        f"TFDS set {builder.name!r} is not prepared under "
        f"{str(Path(builder.data_path).parents[1])!r}"
    )
    if not _network():
        raise ConfigError(
            f"{absent} and there is no network to download it: "
            "pass data.dir=PATH with a prepared copy."
        )
    try:
        builder.download_and_prepare()
    except (OSError, AssertionError) as error:
        raise ConfigError(f"{absent} and the download failed: {error}") from error


def _network() -> bool:
    """Whether a download can be tried at all: TFDS itself retries for minutes without one."""
    if urllib.request.getproxies():
        return True
    with contextlib.suppress(OSError):
        return bool(socket.getaddrinfo("storage.googleapis.com", 443))
    return False
