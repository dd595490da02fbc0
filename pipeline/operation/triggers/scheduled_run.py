"""A run as it would be started by hand here and now, for whoever starts it later and elsewhere."""

import dataclasses
import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from components.base.refusal import ConfigError
from components.sources.open_source import LISTED, open_source
from pipeline.configuration.config import RunConfig, root_path
from pipeline.configuration.configure import configure
from pipeline.configuration.fitting import check_classes, check_signing
from pipeline.configuration.overrides import leaves, parse_overrides
from pipeline.line.inputs import schema_text
from pipeline.line.output_root import check_outside
from pipeline.operation.triggers.cron_expression import CronExpression

_CARRIED = (
    "PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "TFDS_DATA_DIR",
    "XDG_CACHE_HOME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
)  # fmt: skip
"""Not the whole environment: a shell's may hold secrets, and files are read by others."""
_DEFAULTS = {"PATH": os.defpath, "LANG": "C.UTF-8"}


@dataclasses.dataclass(frozen=True)
class ScheduledRun:
    """`words` are those of `run` after the preset, without root=; `name` is the release's."""

    name: str
    preset: str
    cron: CronExpression
    words: tuple[str, ...]
    root: Path
    directory: Path
    environment: Mapping[str, str]
    config: RunConfig

    @property
    def command(self) -> list[str]:
        """With the interpreter that runs now, so that no PATH decides about it."""
        run = [sys.executable, "-m", "pipeline", "run", self.preset]
        return [*run, *self.words, f"root={self.root}"]

    @property
    def last_failure(self) -> Path:
        """What the last one that failed printed, where cron has nobody to mail it to."""
        return self.root / f"scheduled-{self.name}.txt"

    @property
    def note(self) -> str:
        """What `schedules` reads back of a thing that is installed, on one line of ASCII."""
        return json.dumps(
            {
                "name": self.name, "preset": self.preset, "cron": self.cron.text,
                "root": str(self.root),
            }
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Installed:
    """A schedule that is there; `problem` says why it may not run, where that can be seen."""

    name: str
    preset: str
    cron: str
    root: str
    by: str
    problem: str = ""

    @classmethod
    def of(cls, note: str, by: str, **changed: str) -> "Installed | None":
        """From a `note`, None where it is none."""
        try:
            values = json.loads(note)
            told = {key: str(values[key]) for key in ("name", "preset", "cron", "root")}
        except (ValueError, KeyError, TypeError):
            return None
        return cls(**told | changed, by=by)


def scheduled_run(
    preset: str,
    expression: str,
    words: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> ScheduledRun:
    """Of the same words as `run` takes. Raises ConfigError and DataRefused for what a run would
    refuse now before it starts TFX, and for secrets that others could read."""
    cron = CronExpression.parse(expression)
    directory = Path.cwd()
    preset = absolute_source(preset)
    config = configure(preset, parse_overrides(list(words)))
    check_classes(config, open_source(config.data).labels)
    check_signing(config)
    root = root_path(config)
    check_outside(root, config.data.source)
    schema_text(config.data.schema_path)
    _check_secrets(config, words)
    run = ScheduledRun(
        name=config.name,
        preset=preset,
        cron=cron,
        words=tuple(_absolute_file(w) for w in words if not w.startswith("root=")),
        root=root,
        directory=directory,
        environment=_carried(environment),
        config=config,
    )
    for text in (*run.command, str(directory), *run.environment.values()):
        if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
            raise ConfigError(
                f"{text!r} holds a line break, a control character or bytes that are no text, "
                "which no schedule can carry: put it into a file and pass @FILE, or rename it."
            )
    return run


def _carried(environment: Mapping[str, str]) -> dict[str, str]:
    found = _DEFAULTS | {"HOME": str(Path.home())} | dict(environment)
    return {name: found[name] for name in _CARRIED if found.get(name)}


def absolute_source(preset: str) -> str:
    """A folder or an archive as it is named from everywhere; other presets as they are."""
    kind, colon, path = preset.partition(":")
    if kind not in LISTED or not path:
        return preset
    return f"{kind}{colon}{Path(path).expanduser().resolve()}"


def _absolute_file(word: str) -> str:
    return f"@{Path(word[1:]).expanduser().absolute()}" if word.startswith("@") else word


def _check_secrets(config: RunConfig, words: Sequence[str]) -> None:
    """A command line is seen by every user of the machine while it runs."""
    secret = {key for key, value in leaves(config).items() if isinstance(value, SecretStr)}
    for word in words:
        keys = secret & parse_overrides([word]).keys()
        if not keys:
            continue
        key = min(keys)
        if not word.startswith("@"):
            raise ConfigError(
                f"{key} is a secret, which every user of the machine could read on a scheduled "
                f"command line: write it as a line {key}=... into a file of mode 600 and pass "
                "@FILE."
            )
        path = Path(word[1:]).expanduser()
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"{word} holds {key}, a secret, and its mode {mode:o} lets others read it: "
                f"expected 600, as `chmod 600 {path}` makes it."
            )
