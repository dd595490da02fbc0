"""Whether the files of cached outputs are still what their steps wrote.

TFX takes an output from its cache when the directory exists. So each output's files are listed when
its step ends, in `<node>/.listings/<output>/<execution>.json`, and compared with what is
there before the next run.
"""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.base import atomic
from pipeline.line.leftovers import LISTINGS, live

_SMALL = 4 * 2**20
"""Bytes; of larger files only the size is compared."""
_DRAWN = "preview"
"""What a run adds to an augmentation plan afterwards begins so."""


def record(directory: Path) -> None:
    """Lists the files of the output `<artifacts>/<node>/<output>/<execution>`."""
    files = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and not name.startswith(_DRAWN):
            status = path.stat()
            small = status.st_size <= _SMALL
            files[name] = [status.st_size, status.st_mtime_ns, _sha256(path) if small else ""]
    atomic.write(_listing(directory), json.dumps(files) + "\n")


def damage(directory: Path) -> str | None:
    """What is wrong with the output's files, the first of it; None where they are as listed.

    Raises OSError or ValueError where there is no listing, or none that can be read.
    """
    for name, (size, time, sha256) in json.loads(_listing(directory).read_text()).items():
        try:
            status = (directory / name).stat()
        except FileNotFoundError:
            return f"{name} is missing"
        if status.st_size < size:
            return f"{name} is truncated: {status.st_size:,} of {size:,} bytes"
        if status.st_size > size:
            return f"{name} has grown from {size:,} to {status.st_size:,} bytes"
        if sha256 and status.st_mtime_ns != time and _sha256(directory / name) != sha256:
            return f"{name} was changed"
    return None


def discard_damaged(store: MetadataStore, artifacts: Path) -> dict[str, str]:
    """Takes damaged outputs out of TFX's cache and off the disk; returns why, by node.

    Outputs without a listing, of a run that was killed before it made one, are listed as they are.
    """
    found, gone = {}, []
    for artifact in live(store):
        directory = Path(artifact.uri)
        if artifacts not in directory.parents:
            continue
        node, output = directory.parts[-3:-1]
        if directory.is_dir():
            try:
                wrong = damage(directory)
            except (OSError, ValueError):
                record(directory)
                continue
            if wrong is None:
                continue
            found[node] = f"its output {output} was damaged ({wrong})"
        artifact.state = mlmd.Artifact.DELETED
        gone.append(artifact)
    if gone:
        store.put_artifacts(gone)
    for artifact in gone:
        shutil.rmtree(artifact.uri, ignore_errors=True)
        _listing(Path(artifact.uri)).unlink(missing_ok=True)
    return found


def listed_bytes(directory: Path) -> int:
    """Size of the output's files as they were listed, 0 where they were not."""
    with contextlib.suppress(OSError, ValueError):
        return sum(size for size, *_ in json.loads(_listing(directory).read_text()).values())
    return 0


def _listing(directory: Path) -> Path:
    node, output = directory.parent.parent, directory.parent.name
    return node / LISTINGS / output / f"{directory.name}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
