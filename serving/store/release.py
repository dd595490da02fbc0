"""One immutable release: a version directory that holds every format of a model.

Its files are named in `serving/contract/release_files.py`; the manifest holds the SHA-256 and the
size of every other one.

Standard library only.
"""

import dataclasses
import json
import os
from pathlib import Path

from serving.contract.release_files import CONTRACT, MANIFEST
from serving.store.files import sha256


class StoreError(ValueError):
    """The release store or a release is not as it should be; the message is for the user."""


@dataclasses.dataclass(frozen=True)
class Release:
    """Version `version` of the model called `name`, complete and never written again, at `path`."""

    name: str
    version: int
    path: Path

    def manifest(self) -> dict:
        """manifest.json: model, lineage, framework, created, files, metrics, gates, parity..."""
        return _read_json(self.path / MANIFEST)

    def contract(self) -> dict:
        """contract.json: input, output, image_spec, labels, lineage, framework."""
        return _read_json(self.path / CONTRACT)

    def verify(self) -> None:
        """Compares every file with the manifest.

        Raises StoreError naming the file that is missing, altered or not listed.
        """
        verify_directory(self.path)


def verify_directory(directory: Path) -> list[str]:
    """Checks a directory against its own manifest.json; returns the files it lists, sorted.

    Raises StoreError naming the first file that is missing, altered, not listed, or a link.
    """
    files = _listed_files(directory)
    found = set(_files_below(directory)) - {MANIFEST}
    for name in sorted(files):
        expected = files[name]
        path = directory / name
        if name not in found:
            raise StoreError(f"{path} is missing; {MANIFEST} lists it. Publish the model again.")
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise StoreError(
                f"{path} was altered: it has {size} bytes, {MANIFEST} says {expected['bytes']}."
            )
        digest = sha256(path)
        if digest != expected["sha256"]:
            raise StoreError(
                f"{path} was altered: its SHA-256 is {digest[:16]}..., {MANIFEST} says"
                f" {expected['sha256'][:16]}..."
            )
    for name in sorted(found - set(files)):
        raise StoreError(f"{directory / name} is not listed in {MANIFEST}: list it or remove it.")
    return sorted(files)


def _listed_files(directory: Path) -> dict[str, dict]:
    files = _read_json(directory / MANIFEST).get("files")
    if not isinstance(files, dict) or not files:
        raise StoreError(f"{directory / MANIFEST} lists no files, expected every file's sha256.")
    for name, entry in files.items():
        if name == MANIFEST or os.path.isabs(name) or os.path.normpath(name) != name:
            raise StoreError(f"{directory / MANIFEST} lists {name!r}, which it must not.")
        if ".." in Path(name).parts:
            raise StoreError(f"{directory / MANIFEST} lists {name!r}, outside the directory.")
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and isinstance(entry.get("bytes"), int)
        ):
            raise StoreError(
                f"{directory / MANIFEST} says {entry!r} of {name}, expected its sha256 and bytes."
            )
    return files


def _files_below(directory: Path) -> list[str]:
    """Relative paths of all regular files. Links are refused: their target is not ours to keep."""
    names = []
    for parent, directories, files in os.walk(directory):
        for name in [*directories, *files]:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise StoreError(
                    f"{path} is not a plain file or directory; releases hold no links."
                )
        names += [os.path.relpath(os.path.join(parent, name), directory) for name in files]
    return names


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing; a release needs it.") from None
    except NotADirectoryError:
        raise StoreError(f"{path.parent} is not a directory.") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds a {type(value).__name__}, expected a JSON object.")
    return value
