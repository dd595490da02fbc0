"""A clean export, for a fault to spoil."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.helpers import artifact_files
from tests.helpers.small_nets import SmallNet

Rng = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Site:
    """A clean export to spoil: `made` is a copy, `other` the export of another run of the same
    network, which has other weights."""

    made: SmallNet
    artifact: str
    other: SmallNet

    @property
    def path(self) -> Path:
        return self.made.path(self.artifact)

    @property
    def classes(self) -> int:
        return len(self.made.network.labels)

    def change(self, some: Callable[[str, np.ndarray], np.ndarray | None]) -> int:
        """Replaces each array by what `some` gives of it and its name, where that is not None;
        their number. Raises LookupError where there is none: then nothing has been spoilt."""
        held = artifact_files.read(self.artifact, self.path)
        changed = {name: new for name, old in held.items() if (new := some(name, old)) is not None}
        if not changed:
            raise LookupError(f"{self.path} has no such array")
        artifact_files.write(self.artifact, self.path, changed)
        return len(changed)
