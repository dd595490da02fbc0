"""`python -m pipeline runs` and `status`: what was run when, what came of it, what is going on."""

import datetime
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.base.refusal import ConfigError
from pipeline.line.output_root import holder
from pipeline.outcome.unfinished import noted, where
from pipeline.outcome.words import duration, number
from serving.store.release import StoreError
from serving.store.store import Store

_WIDTH = 150
"""Of a table that is written to no terminal: a sentence needs room."""
_CELLS = ("RUN", "OF", "IMAGES", "VERDICT", "RELEASE", "ACCURACY", "TIME", "SENTENCE")


def runs(root: Path, count: int, console: Console | None = None) -> None:
    """Prints a table of the last `count` runs, the newest first.

    Raises ConfigError when there are none.
    """
    directories = _directories(root)
    if not directories:
        raise ConfigError(
            f"There are no runs under {str(root / 'runs')!r}: start one with `run`, or pass "
            "root=PATH."
        )
    running = holder(root) is not None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for cell in _CELLS:
        right = cell in ("IMAGES", "ACCURACY", "TIME")
        table.add_column(cell, justify="right" if right else "left", no_wrap=cell != "SENTENCE")
    for position, directory in enumerate(directories[:count]):
        table.add_row(*_row(directory, running and position == 0))
    out = _console(console)
    out.print(table, highlight=False)
    if len(directories) > count:
        out.print(f"{len(directories) - count} older ones: count=N", highlight=False)


def status(root: Path, console: Console | None = None) -> None:
    """Prints who works in `root`, how the last run ended, and what is released."""
    out = _console(console)
    if not root.is_dir():
        raise ConfigError(f"There is no output root {str(root)!r}: start a run, or pass root=PATH.")
    out.print(f"Running    {holder(root) or 'nothing'}", highlight=False)
    if directories := _directories(root):
        run, _, _, verdict, *_, sentence = _row(directories[0], holder(root) is not None)
        line = Text("Last run   ") + Text("  ").join([run, verdict, sentence])
        out.print(line, highlight=False, soft_wrap=True)
    store = Store(root / "serving")
    for name in store.models():
        out.print(f"Released   {_released(store, name)}", highlight=False)
    if not store.models():
        out.print("Released   nothing", highlight=False)


def _console(console: Console | None) -> Console:
    out = console or Console()
    if console is None and not out.is_terminal:
        out.width = _WIDTH
    return out


def _directories(root: Path) -> list[Path]:
    """Newest first: their names begin with their time."""
    folder = root / "runs"
    found = [path for path in folder.iterdir() if not path.is_symlink()] if folder.is_dir() else []
    return sorted((path for path in found if path.is_dir()), reverse=True)


def _row(directory: Path, running: bool) -> tuple[Text, ...]:
    try:
        verdict = json.loads((directory / "verdict.json").read_text())
        state = verdict["status"]
        good, sentence = verdict["exit_code"] == 0, str(verdict["sentence"])
    except (OSError, ValueError, KeyError, TypeError):
        state = Text("running", style="bold") if running else Text("killed", style="red")
        name, why = noted(directory)["name"], where(directory)
        if not running:
            why = f"it ended without a verdict {why}: killed, or the machine stopped"
        return tuple(map(_text, (directory.name, name, "", state, "", "", "", why)))
    champion, version = verdict.get("champion"), verdict.get("version")
    model = verdict.get("models", {}).get(champion, {})
    cells = (
        directory.name,
        str(verdict.get("name", "")),
        _images(verdict.get("data")),
        Text(state, style="green" if good else "red"),
        f"{version} ({champion})" if version else "",
        number(model.get("accuracy")) if model else "",
        duration(verdict.get("seconds") or 0.0),
        sentence,
    )
    return tuple(map(_text, cells))


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def _images(data: Any) -> str:
    good = data.get("good") if isinstance(data, dict) else None
    return f"{good:,}" if isinstance(good, int) else ""


def _released(store: Store, name: str) -> str:
    """Raises StoreError when the history is damaged."""
    event, releases = store.history(name)[-1], store.releases(name)
    try:
        accuracy = number(store.select(name).manifest()["metrics"]["accuracy"])
    except (StoreError, KeyError, TypeError, ValueError):
        accuracy = "unknown"
    since = datetime.datetime.fromisoformat(event.time).strftime("%Y-%m-%d %H:%M UTC")
    others = len(releases) - 1
    beside = f", {others} more to go back to" if others else ""
    return f"{name} version {event.version}, accuracy {accuracy}, since {since}{beside}"
