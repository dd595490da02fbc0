"""TensorFlow Datasets as a source: prepared sets are read, absent ones downloaded through TFDS.

The library is imported where it is used: opening a set costs a second, reading it imports
TensorFlow.
"""

import contextlib
import difflib
import functools
import hashlib
import operator
import os
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from components.base.refusal import ConfigError
from components.sources.source import CHUNK, SPLIT_NAMES, RawImage, stamp

_BATCH = 256


class TfdsSource:
    """`tfds:NAME` (also `NAME/CONFIG` and `NAME:VERSION`): a set with images and their classes.

    `label` is the feature with the class, `/` between nested ones: a ClassLabel, or a truth value,
    which makes the two classes `not_<name>` and `<name>`.
    """

    ignored: tuple[str, ...] = ()

    def __init__(self, name: str, data_dir: str | None, label: str = "label"):
        self._name, self._data_dir, self._label = name, data_dir, label
        builder = self._builder()
        self.image_shape, self.labels = self._features(builder.info.features)
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
        self.listed, self._taken = stamp([self.directory, *self._files()]), ""

    def _features(self, features: Any) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
        """(shape of the images, names of the classes).

        Raises ConfigError where either cannot be had from the set's features.
        """
        import tensorflow_datasets as tfds

        flat = _flat(features)
        image, label = flat.get("image"), flat.get(self._label)
        if isinstance(image, tfds.features.Image):
            if isinstance(label, tfds.features.ClassLabel) and label.num_classes:
                return tuple(image.shape), tuple(label.names)
            if label is not None and label.shape == () and np.issubdtype(label.np_dtype, np.bool_):
                name = self._label.rpartition("/")[2].lower()
                return tuple(image.shape), (f"not_{name}", name)
        known = ", ".join(f"{path} ({type(feature).__name__})" for path, feature in flat.items())
        raise ConfigError(
            f"TFDS set {self._name!r} has the features {known}: expected an Image called image, "
            f"and a ClassLabel or bool called {self._label} (data.label=NAME or data.label=A/B "
            "names another)."
        )

    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        try:
            builder = tfds.builder(self._name, data_dir=self._data_dir)
        except tfds.core.registered.DatasetNotFoundError as error:
            # Its message lists every set's name; TFDS's own function for that loads TensorFlow.
            names = re.findall(r"^\s+- (\w+)$", str(error), re.MULTILINE)
            name = re.split("[/:]", self._name)[0]
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.0) or ["mnist"]
            raise ConfigError(f"TFDS has no set {name!r}: did you mean {close[0]!r}?") from error
        except (ValueError, AssertionError) as error:  # no such configuration or version
            raise ConfigError(f"TFDS cannot open {self._name!r}: {_line(error)}") from error
        if not Path(builder.data_path).is_dir():
            prepare(builder)
        return builder

    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of the prepared files."""
        digest = hashlib.sha256()
        for path in self._files():
            digest.update(os.fsencode(path.name) + b"\0")
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        self.take(digest.hexdigest())
        return self._taken

    def take(self, fingerprint: str) -> None:
        """See `Source.take`."""
        self._taken = fingerprint

    def still(self, fingerprint: str) -> bool:
        found = stamp([self.directory, *self._files()])
        return self._taken == fingerprint and "" != self.listed.digest == found.digest

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.iterdir() if path.is_file())

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
            decoders=tfds.decode.PartialDecoding(
                {"image": True, **_nested(self._label)},
                decoders={"image": tfds.decode.SkipDecoding()},
            ),
            shuffle_files=False,
            read_config=_read_config(),
        )
        row = start
        # In batches: stepping through TensorFlow once per image costs more than decoding it. One is
        # read while the one before is examined.
        for batch in rows.batch(_BATCH).prefetch(1).as_numpy_iterator():
            labels = functools.reduce(operator.getitem, self._label.split("/"), batch)
            for data, label in zip(batch["image"], labels):
                name = f"{self._name}/{split}/{row}"
                yield RawImage(name, data, int(label), SPLIT_NAMES[split])
                row += 1


def _read_config() -> Any:
    """One thread, no buffers: per small image, handing it from thread to thread costs as much as
    decoding it."""
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(
        try_autocache=False, num_parallel_calls_for_decode=1, skip_prefetch=True
    )
    config.options.threading.private_threadpool_size = 1
    return config


def prepare(builder: Any) -> None:
    """Downloads and prepares a `tfds.core.DatasetBuilder` from its original files.

    Every file must have the checksum that the set has registered for it; copies that others
    prepared have none and are not taken.

    Raises ConfigError without a network and when the download fails.
    """
    import tensorflow_datasets as tfds

    absent = f"TFDS set {builder.name!r} is not prepared under {str(builder.data_dir_root)!r}"
    if not _network():
        raise ConfigError(
            f"{absent} and there is no network to download it: "
            "pass data.dir=PATH with a prepared copy."
        )
    checked = tfds.download.DownloadConfig(force_checksums_validation=True, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=checked)
    except Exception as error:  # of the network, of TFDS, or of the set's own code
        raise ConfigError(f"{absent} and the download failed: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _flat(features: Any, prefix: str = "") -> dict[str, Any]:
    """Paths to features, e.g. `{"image": Image, "attributes/Smiling": Scalar, ...}`."""
    flat: dict[str, Any] = {}
    for name, feature in features.items():
        nested = hasattr(feature, "items")
        flat |= _flat(feature, f"{prefix}{name}/") if nested else {prefix + name: feature}
    return flat


def _nested(path: str) -> dict:
    """`a/b` as `{"a": {"b": True}}`."""
    first, _, rest = path.partition("/")
    return {first: _nested(rest) if rest else True}


def _network() -> bool:
    """Whether a download can be tried at all: TFDS itself retries for minutes without one."""
    if urllib.request.getproxies():
        return True
    with contextlib.suppress(OSError):
        return bool(socket.getaddrinfo("storage.googleapis.com", 443))
    return False
