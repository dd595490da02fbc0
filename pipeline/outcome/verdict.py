"""The verdict of a run: one sentence, one exit code and the numbers behind them, as JSON."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from components.base import atomic

EXIT_OK, EXIT_INTERNAL = 0, 1
"""A refusal brings its own exit code, see components/base/refusal.py."""

CONFIGURATION = "config.args"
"""Beside verdict.json: all of the run's keys, in the form that `run` takes
(`@out/runs/latest/config.args`)."""

SAMPLES, SAMPLES_DARK, MISTAKES = "samples.png", "samples-dark.png", "mistakes.json"
"""Beside it too: what the report shows of the test split, see samples.py and gallery.py."""


DOUBTFUL, DOUBTFUL_SHEET = "doubtful.csv", "doubtful.png"
"""And the labels that look wrong, see doubtful_labels.py."""


@dataclasses.dataclass
class Verdict:
    """What `out/runs/<run id>/verdict.json` holds.

    `status` is released, unchanged, refused or failed; `fingerprint` covers source, configuration
    and code, `source_fingerprint` just the source's images; `name` is that of the release,
    `current` the version that servers use afterwards.
    `comparisons` holds, by framework, what a model was compared with, `warnings` sentences about
    what refused nothing and is not as it should be.
    `repeats` is the run whose verdict an unchanged one gives again.
    `inferred` are the keys whose values followed from the images.
    `cross_validation` is there where a pretrained backbone makes it cheap, see
    components/features/cross_validate.py.
    `contract` is what every model of the run takes, with each exported one's lineage.
    """

    run_id: str
    preset: str
    name: str
    status: str = "failed"
    exit_code: int = EXIT_INTERNAL
    sentence: str = ""
    version: int | None = None
    current: int | None = None
    champion: str | None = None
    release: str | None = None
    fingerprint: str = ""
    repeats: str | None = None
    source_fingerprint: str = ""
    seconds: float = 0.0
    inferred: list[str] = dataclasses.field(default_factory=list)
    models: dict = dataclasses.field(default_factory=dict)
    artifacts: list = dataclasses.field(default_factory=list)
    gates: list = dataclasses.field(default_factory=list)
    comparisons: dict = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    data: dict = dataclasses.field(default_factory=dict)
    contract: dict = dataclasses.field(default_factory=dict)
    cross_validation: dict = dataclasses.field(default_factory=dict)
    steps: list = dataclasses.field(default_factory=list)

    @property
    def repeated(self) -> bool:
        """Whether the run took an earlier one's verdict over, and did nothing itself."""
        return all_repeated(self.steps)

    def to_json(self) -> str:
        """NaN becomes null: it is strict JSON."""
        return json.dumps(_finite(dataclasses.asdict(self)), indent=1, allow_nan=False) + "\n"

    def write(self, directory: Path) -> None:
        """Writes `verdict.json` atomically."""
        atomic.write(directory / "verdict.json", self.to_json())


def all_repeated(steps: list[dict]) -> bool:
    """Of a verdict's steps; TFX, which looks its cache up, takes more time than none."""
    return bool(steps) and all(step["cached"] and not step["seconds"] for step in steps)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not (abs(value) < float("inf")) else value


def point_latest(runs: Path, run_id: str) -> None:
    """Moves the link `runs/latest` to the run, in one rename."""
    temporary = runs / f".latest-{run_id}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run_id)
    os.replace(temporary, runs / "latest")


def last_verdict(runs: Path, name: str) -> Verdict | None:
    """The verdict of the newest run for the release `name` that came to one, or None."""
    if not runs.is_dir():
        return None
    known = {field.name for field in dataclasses.fields(Verdict)}
    for directory in sorted((d for d in runs.iterdir() if not d.is_symlink()), reverse=True):
        try:
            values = json.loads((directory / "verdict.json").read_text())
        except (OSError, json.JSONDecodeError):
            continue
        if values.get("name") == name:
            return Verdict(**{key: item for key, item in values.items() if key in known})
    return None
