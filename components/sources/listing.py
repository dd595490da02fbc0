"""Fingerprints of contents, kept beside the runs with the listing they were taken of.

While sizes, times and inodes of all files are what they were, their contents are taken to be, too:
so a hundred thousand files are looked at in a second, and of a folder only those files are read
that changed.
"""

import functools
import hashlib
import json
from pathlib import Path

from components.base import atomic
from components.sources.config import DataConfig
from components.sources.folder_source import FolderSource
from components.sources.source import Source


def content_fingerprint(source: Source, config: DataConfig, directory: Path) -> str:
    """`source.fingerprint()`, from `directory` where the listing there is that of now.

    All contents are read with `data.verify`, and where a file changed within the tick of the clock
    in which it was listed: a second change would not show (git's racy entries). `directory` that
    cannot be written to costs the next run time, and nothing else.
    """
    file = directory / f"{_key(config)}.json"
    stamp = source.listed
    if stamp.settled and not config.verify and (known := _read(file, stamp.digest)):
        source.take(known)
        if isinstance(source, FolderSource):
            source.look_up = functools.partial(_contents, file.with_suffix(".contents"))
        return known
    contents = file.with_suffix(".contents")
    if isinstance(source, FolderSource):
        source.contents = {} if config.verify else _contents(contents)
    fingerprint = source.fingerprint()
    if isinstance(source, FolderSource):
        _write(contents, json.dumps(source.contents))
    if stamp.settled and source.still(fingerprint):
        entry = {"source": config.source, "listing": stamp.digest, "fingerprint": fingerprint}
        _write(file, json.dumps(entry, indent=1) + "\n")
    return fingerprint


def _contents(file: Path) -> dict[str, tuple[str, str]]:
    """`ListedSource.contents` of the last look, or nothing."""
    try:
        found = json.loads(file.read_text())
        return {path: (str(looks), str(digest)) for path, (looks, digest) in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):  # absent, or no longer whole
        return {}


def _key(config: DataConfig) -> str:
    """A name for what is listed and for the code that takes its fingerprint."""
    digest = hashlib.sha256(repr((config.source, config.dir, config.label)).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read(file: Path, listing: str) -> str:
    """The fingerprint kept of that listing, or nothing."""
    try:
        found = json.loads(file.read_text())
        return str(found["fingerprint"]) if found["listing"] == listing else ""
    except (OSError, ValueError, KeyError, TypeError):  # absent, or no longer whole
        return ""


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        atomic.write(file, text)
    except OSError:
        file.unlink(missing_ok=True)
