"""What the steps of a run left behind. Standard library only."""

import dataclasses
import json
from pathlib import Path
from typing import Any

STOPPED, INTERRUPTED, KILLED = UNFINISHED = "stopped the run", "interrupted", "killed"
"""Why a step ran that did not come to its end: an error, a signal, or the end of the process."""


@dataclasses.dataclass
class Step:
    """One step of a run as the verdict lists it; `outputs` are artifact directories by name.

    A step that stopped the run has none. `peak_memory` is in bytes, see memory.py.
    """

    name: str
    seconds: float
    cached: bool
    why: str
    outputs: dict[str, str] = dataclasses.field(default_factory=dict)
    peak_memory: int = 0


class Outputs:
    """The JSON files in the output artifacts of a run's steps."""

    def __init__(self, steps: list[Step]):
        self._directories = {step.name: step.outputs for step in steps}

    def directory(self, step: str, output: str) -> Path | None:
        """The artifact's directory, or None where the step did not finish."""
        found = self._directories.get(step, {}).get(output)
        return Path(found) if found else None

    def read(self, step: str, output: str, file: str, default: Any) -> Any:
        """The file's content, or `default` where the step did not finish."""
        directory = self.directory(step, output)
        return default if directory is None else json.loads((directory / file).read_text())
