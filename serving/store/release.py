"""One immutable release: a version directory that holds every format of a model.

Its files are named in `serving/contract/release_files.py`; the manifest holds the SHA-256 and the
size of every other one but the signature, which `serving/store/signature.py` verifies.

Standard library only.
"""

import dataclasses
import json
import os
import reprlib
from pathlib import Path
from typing import Any

from serving.contract.release_files import CONTRACT, MANIFEST, UNLISTED
from serving.store.files import read_plain, sha256

MOST_JSON = 16 * 2**20
"""Bytes of a manifest or a contract: in memory it takes up to thirty times as many."""


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
        """Compares every file with the manifest, and the model's name with ours.

        Raises StoreError naming the file that is missing, altered or not listed.
        """
        if self.path.is_symlink():
            raise StoreError(f"{self.path} is a link, expected the directory of a release.")
        verify_directory(self.path)
        named = self.manifest().get("model", self.name)
        if named != self.name:
            raise StoreError(
                f"{self.path / MANIFEST} is of model {reprlib.repr(named)}, expected {self.name!r}."
            )


def verify_directory(directory: Path) -> list[str]:
    """Checks a directory against its own manifest.json; returns the files it lists, sorted.

    Raises StoreError naming the first file that is missing, altered, not listed, or a link.
    """
    files = _listed_files(directory)
    found = set(_files_below(directory)) - set(UNLISTED)
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
        if name in UNLISTED or os.path.isabs(name) or os.path.normpath(name) != name:
            raise StoreError(f"{directory / MANIFEST} lists {name!r}, which it must not.")
        if "\\" in name or not name.isprintable():
            raise StoreError(f"{directory / MANIFEST} lists {name!r}, which is no usable name.")
        if ".." in Path(name).parts:
            raise StoreError(f"{directory / MANIFEST} lists {name!r}, outside the directory.")
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and type(entry.get("bytes")) is int
        ):
            raise StoreError(
                f"{directory / MANIFEST} says {reprlib.repr(entry)} of {name}, expected its"
                " sha256 and bytes."
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
        value = json.loads(read_plain(path, MOST_JSON).decode(), object_pairs_hook=_unambiguous)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing; a release needs it.") from None
    except NotADirectoryError:
        raise StoreError(f"{path.parent} is not a directory.") from None
    except RecursionError:
        raise StoreError(f"{path} cannot be read: it is nested too deep.") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds a {type(value).__name__}, expected a JSON object.")
    return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that is there twice, readers take the one or the other."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {reprlib.repr(name)} is there twice")
        found[name] = value
    return found
