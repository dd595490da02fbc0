"""`python -m pipeline gc`: removes what earlier runs left and nothing needs any more."""

import os
from collections import Counter
from pathlib import Path

from rich.console import Console

from components.base import disk
from components.base.refusal import ConfigError
from pipeline.configuration.overrides import override, parse_overrides
from pipeline.configuration.runs import RunsConfig
from pipeline.line.output_root import locked
from pipeline.operation.cleaning import RUNS, Waste, find_waste, remove
from pipeline.outcome.words import megabytes


def gc(words: list[str], dry_run: bool, console: Console | None = None) -> None:
    """Cleans the output root up and prints what that freed; with `dry_run`, what it would.

    `words` are `keep=`, `artifacts=` (keys of RunsConfig) and `root=`. Raises ConfigError when one
    is wrong or there are no runs in `root`, Locked (75) while a run is in there, StoreError when a
    release cannot be read.
    """
    pairs = parse_overrides(words)
    root = Path(pairs.pop("root", "out")).expanduser().resolve()
    config = override(RunsConfig(), pairs)
    if not (root / RUNS).is_dir():
        raise ConfigError(f"There are no runs under {str(root / RUNS)!r}: pass root=PATH.")
    out = console or Console(soft_wrap=True)
    with disk.explained(root), locked(root):
        waste = find_waste(root, config)
        for line in described(root, waste):
            out.print(line, highlight=False, markup=False)
        if not dry_run:
            remove(root, waste)
        if not waste.paths:
            out.print("Nothing to remove.")
            return
        verb = "Would free" if dry_run else "Freed"
        out.print(f"{verb} {megabytes(waste.bytes)}.", highlight=False)


def described(root: Path, waste: Waste) -> list[str]:
    """A line for each run, for each step's artifacts, and for what killed processes left."""
    lines = [f"run        {path.name}" for path in waste.runs]
    steps = Counter(path.relative_to(root).parts[1] for path in waste.artifacts)
    lines += [f"artifacts  {count} of {step}" for step, count in steps.items()]
    if waste.working:
        lines.append(f"leftover   {len(waste.working)} working folders of TFX")
    return lines + [f"leftover   {os.path.relpath(path, root)}" for path in waste.leftovers]
