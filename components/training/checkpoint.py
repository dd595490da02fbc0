"""Checkpoints of a training that survive its process: whole, or not there.

<directory>/<number>-<SHA-256 of the file, 16 digits>.safetensors

A file appears in one rename after it is synced, and its name holds its checksum: what was torn or
altered is recognised, and the one before it is used. The last two are kept. Safetensors holds
nothing but arrays and text: reading a file runs no code.
"""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from components.base import atomic

_KEPT = 2
_ENDING = ".safetensors"
_OWN = re.compile(r"(\.[0-9a-f]{8}\.)?[0-9]{10,}-[0-9a-f]{16}\.safetensors")
"""Checkpoints, and the temporary files of writers that were killed: all that is ever removed."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """`arrays` by name, and `state` as JSON values."""

    arrays: dict[str, np.ndarray]
    state: dict


class Checkpoints:
    """The checkpoints in `directory` of the training `identity`: those of another one (other data,
    recipe or code) are passed over, and make way when this one saves."""

    def __init__(self, directory: str | Path, identity: str):
        self.directory, self._identity = Path(directory), identity
        self.damaged: list[Path] = []

    def save(self, number: int, arrays: dict[str, np.ndarray], state: dict) -> Path:
        """Writes a state, and drops older files: `number` grows from each one to the next."""
        metadata = {"identity": self._identity, "state": json.dumps(state)}
        # `ascontiguousarray` would make vectors of single numbers.
        whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        content = safetensors.numpy.save(whole, metadata)
        path = self.directory / f"{number:010d}-{_checksum(content)}{_ENDING}"
        atomic.write(path, content)
        mine = [file for file in self._files() if self._belongs(file)]
        for file in self._own():
            if file != path and file not in mine[:_KEPT]:
                file.unlink(missing_ok=True)
        return path

    def latest(self) -> Checkpoint | None:
        """The newest that is whole; those that are not are removed, and named in `damaged`."""
        for path in self._files():
            content = path.read_bytes()
            if path.stem.partition("-")[2] != _checksum(content):
                self.damaged.append(path)
                path.unlink(missing_ok=True)
                continue
            if self._belongs(path):
                with safetensors.safe_open(path, "np") as file:
                    state = json.loads(file.metadata()["state"])
                return Checkpoint(safetensors.numpy.load(content), state)
        return None

    def clear(self) -> None:
        """Removes all, whatever training they belong to."""
        for file in self._own():
            file.unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()

    def _own(self) -> list[Path]:
        """The files that `save` made or began, whosever."""
        if not self.directory.is_dir():
            return []
        return [file for file in self.directory.iterdir() if _OWN.fullmatch(file.name)]

    def _files(self) -> list[Path]:
        """Newest first, without the temporary files of writers that were killed."""
        return sorted((f for f in self._own() if not f.name.startswith(".")), reverse=True)

    def _belongs(self, path: Path) -> bool:
        try:
            with safetensors.safe_open(path, "np") as file:
                return (file.metadata() or {}).get("identity") == self._identity
        except (safetensors.SafetensorError, OSError):
            return False


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
