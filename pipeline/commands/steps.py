"""`python -m pipeline steps`: how long each step took in the last runs, and how much memory."""

from pathlib import Path

from pydantic import Field
from rich.console import Console
from rich.table import Table

from components.base.config import Slice
from components.base.refusal import ConfigError
from pipeline.configuration.overrides import override, parse_overrides
from pipeline.outcome.step_history import RunSteps, Taken, median, read_history
from pipeline.outcome.words import megabytes

_WIDTH = 150
"""Of a table that is written to no terminal."""


class _Wanted(Slice):
    count: int = Field(5, ge=1)
    name: str = ""
    root: str = Field("out", min_length=1)


def steps(words: list[str], console: Console | None = None) -> None:
    """Prints a table for each release's name, or only for `name=`: a row for each step, the last
    `count=` runs of `root=` that did some work, and the median over all that are kept.

    Raises ConfigError when a word is wrong or there are no such runs.
    """
    wanted = override(_Wanted(), parse_overrides(words))
    runs = Path(wanted.root).expanduser().resolve() / "runs"
    history: dict[str, list[RunSteps]] = {}
    for run in read_history(runs):
        if wanted.name in ("", run.name):
            history.setdefault(run.name, []).append(run)
    if not history:
        of = f" of {wanted.name!r}" if wanted.name else ""
        raise ConfigError(
            f"No run{of} under {str(runs)!r} says what its steps took: start one with `run`, or "
            "pass root=PATH."
        )
    out = console or Console()
    if console is None and not out.is_terminal:
        out.width = _WIDTH
    for name, own in sorted(history.items()):
        out.print(f"{name}: seconds and peak memory; - where a step was cached", highlight=False)
        out.print(_table(own, wanted.count), highlight=False)


def _table(runs: list[RunSteps], count: int) -> Table:
    shown = runs[:count]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STEP", no_wrap=True)
    for run in shown:
        table.add_column(run.run_id, justify="right")
    table.add_column(f"MEDIAN OF {len(runs)}", justify="right")
    # In the order of the newest run that had the step.
    for name in dict.fromkeys(name for run in runs for name in run.steps):
        known = [run.steps[name] for run in runs if name in run.steps]
        memory = median(taken.memory for taken in known)
        seconds = median(taken.seconds for taken in known) or 0.0
        usual = Taken(seconds, None if memory is None else round(memory))
        cells = (run.steps.get(name) for run in shown)
        table.add_row(name, *map(_cell, cells), _cell(usual))
    return table


def _cell(taken: Taken | None) -> str:
    if taken is None:
        return "-"
    memory = f" {megabytes(taken.memory)}" if taken.memory else ""
    return f"{taken.seconds:.1f} s{memory}"
