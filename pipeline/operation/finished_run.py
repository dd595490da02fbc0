"""A finished run as others record it: its verdict, configuration and times. Standard library and
our own."""

import dataclasses
import datetime
import json
from pathlib import Path

from components.base.refusal import Refusal
from pipeline.configuration.overrides import parse_overrides
from pipeline.outcome.verdict import CONFIGURATION

_INTERRUPTED = (130, 143)
"""Exit codes of Ctrl-C and SIGTERM."""


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """`settings` has every key of the configuration, and none where the run was refused before
    there was one. `outcome` is complete, failed or aborted."""

    directory: Path
    verdict: dict
    settings: dict[str, str]
    started: datetime.datetime
    ended: datetime.datetime

    @property
    def outcome(self) -> str:
        code = self.verdict["exit_code"]
        return "complete" if code == 0 else "aborted" if code in _INTERRUPTED else "failed"


def finished_run(directory: Path) -> FinishedRun:
    """The run in `directory`, whose id is the moment when it began."""
    verdict = json.loads((directory / "verdict.json").read_text())
    try:
        settings = parse_overrides([f"@{directory / CONFIGURATION}"])
    except Refusal:
        settings = {}
    began = datetime.datetime.strptime(verdict["run_id"], "%Y%m%d-%H%M%S-%f")
    started = began.replace(tzinfo=datetime.UTC)
    ended = started + datetime.timedelta(seconds=verdict["seconds"])
    return FinishedRun(directory, verdict, settings, started, ended)
