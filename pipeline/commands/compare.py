"""`python -m pipeline compare RUN RUN`: runs side by side, and in which settings and images they
differ."""

import difflib
import json
import string
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.base.refusal import ConfigError
from pipeline.commands.compare_data import changes_between, classes_table, images_table
from pipeline.configuration.overrides import parse_overrides
from pipeline.line.output_root import holder
from pipeline.outcome.verdict import CONFIGURATION
from pipeline.outcome.words import number

WIDTH = 100
LATEST = "latest"
"""The link to the newest run that came to a verdict."""
_MODEL_COLUMNS = (
    "test accuracy", "loss", "best epoch", "training", "images/s", "parameters",
)  # fmt: skip


class Run:
    """A finished run as its directory shows it: `verdict` and `settings` (None where the run
    recorded none)."""

    def __init__(self, directory: Path):
        self.directory = directory.resolve()
        try:
            self.verdict = json.loads((directory / "verdict.json").read_text())
            self.id, self.models = self.verdict["run_id"], self.verdict["models"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{str(directory)!r} holds no readable verdict.json: the run did not come to its "
                "end, or this is no run's directory."
            ) from error
        file = directory / CONFIGURATION
        self.settings = parse_overrides([f"@{file}"]) if file.is_file() else None


def compare(names: list[str], root: Path, console: Console | None = None) -> None:
    """Prints the runs' results, the settings that differ and, for two, their accuracies' change.

    `names` are run ids, their first characters, `latest` or paths; ids are looked for under
    `root`. Raises ConfigError for a name that stands for no run, or for several.
    """
    if not 2 <= len(names) <= len(string.ascii_uppercase):
        raise ConfigError(f"Runs named: {len(names)}, expected from 2 to 26 to compare.")
    runs = [Run(find(name, root)) for name in names]
    out = console or Console()
    if not out.is_terminal:
        out.width = WIDTH
    print_behind(names, root, out)
    named = dict(zip(string.ascii_uppercase, runs))
    for letter, run in named.items():
        out.print(_headline(letter, run), highlight=False)
    out.print(models_table(named))
    out.print(settings_table(named) or same_settings(named), highlight=False)
    if images := images_table({letter: run.verdict for letter, run in named.items()}):
        out.print(images)
    if len(runs) == 2:
        if all(run.verdict.get("data") for run in runs):
            out.print(classes(*runs), highlight=False)
        for line in changes(*runs):
            out.print(line, highlight=False)


def find(name: str, root: Path) -> Path:
    """The directory of the run that `name` stands for. Raises ConfigError."""
    runs = root.expanduser() / "runs"
    for path in (Path(name).expanduser(), runs / name):
        if name and (path / "verdict.json").is_file():
            return path
    # Newest first: ids begin with their time.
    known = [path.name for path in runs.iterdir() if not path.is_symlink()] if runs.is_dir() else []
    known = sorted(known, reverse=True)
    matching = [run for run in known if name and run.startswith(name)]
    if len(matching) == 1:
        return runs / matching[0]
    if matching:
        raise ConfigError(
            f"{name!r} begins {len(matching)} runs under {str(runs)!r}, the newest "
            f"{matching[0]!r}: give more of its characters."
        )
    if not known:
        raise ConfigError(
            f"Unknown run {name!r}: there are no runs under {str(runs)!r}; pass root=PATH, or "
            "a run's own path."
        )
    if name == LATEST:
        raise ConfigError(
            f"No run under {str(runs)!r} has come to a verdict yet; the newest is {known[0]!r}, "
            f"its log {str(runs / known[0] / 'log.txt')!r}."
        )
    close = difflib.get_close_matches(name, [LATEST, *known], n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the newest is {known[0]!r}."
    raise ConfigError(f"Unknown run {name!r} under {str(runs)!r}: {hint}")


def print_behind(names: Iterable[str], root: Path, out: Console) -> None:
    """Says so where `latest` is among `names` and there is a newer run without a verdict."""
    runs = root.expanduser() / "runs"
    if LATEST not in names or not (runs / LATEST).exists():
        return
    last = (runs / LATEST).resolve().name
    newest = max(path.name for path in runs.iterdir() if path.is_dir() and not path.is_symlink())
    if newest > last and not (runs / newest / "verdict.json").is_file():
        state = "goes on" if holder(root.expanduser()) else "ended without a verdict"
        out.print(
            Text(f"The newest run, {newest}, {state}: this is of {last}.", style="yellow"),
            soft_wrap=True,
        )


def _headline(letter: str, run: Run) -> Text:
    verdict = run.verdict
    status = verdict["status"]
    colour = "green" if verdict["exit_code"] == 0 else "red"
    parts = [f"  {verdict['preset']}"]
    if verdict["name"] != verdict["preset"]:
        parts.append(f" as {verdict['name']}")
    if verdict["version"]:
        parts.append(f", version {verdict['version']}, champion {verdict['champion']}")
    return Text.assemble(
        (f"{letter}  ", "bold"), run.id, "  ", (f"{status:<9}", colour), "".join(parts)
    )


def models_table(runs: dict[str, Run]) -> Table:
    """A row per run and framework, the frameworks' rows together."""
    table = Table("model", "run")
    for name in _MODEL_COLUMNS:
        table.add_column(name, justify="right")
    frameworks = list(dict.fromkeys(name for run in runs.values() for name in run.models))
    for framework in frameworks:
        rows = {letter: run.models.get(framework) for letter, run in runs.items()}
        best = max((_accuracy(row) for row in rows.values()), default=-1.0)
        for letter, row in rows.items():
            cells = _cells(row) if row else ["not trained", *[""] * (len(_MODEL_COLUMNS) - 1)]
            if row and _accuracy(row) == best:
                cells[0] = f"[bold]{cells[0]}[/]"
            end = letter == list(rows)[-1]
            table.add_row(framework, letter, *cells, end_section=end)
    if not frameworks:
        table.add_row("(none)", "", "not trained")
    return table


def _accuracy(row: dict | None) -> float:
    value = (row or {}).get("accuracy")
    return -1.0 if value is None else value


def _cells(row: dict) -> list[str]:
    return [
        number(row.get("accuracy")),
        number(row.get("loss")),
        f"{row.get('best_epoch', '?')} of {row.get('epochs', '?')}",
        f"{number(row.get('train_seconds'), ',.1f')} s",
        number(row.get("images_per_second"), ",.0f"),
        number(row.get("parameters"), ","),
    ]


def settings_table(runs: dict[str, Run]) -> Table | None:
    """The keys in which the runs that recorded their settings differ, or None."""
    recorded = {letter: run.settings for letter, run in runs.items() if run.settings is not None}
    keys = dict.fromkeys(key for settings in recorded.values() for key in settings)
    different = [
        key for key in keys if len({settings.get(key) for settings in recorded.values()}) > 1
    ]
    if not different:
        return None
    table = Table("setting")
    for letter in recorded:
        table.add_column(letter, overflow="fold")
    for key in different:
        # A key that one run does not have came with a later version.
        named = [runs[letter].verdict.get("inferred") or () for letter in recorded]
        of_images = all(key in inferred for inferred in named)
        shown = f"{key} (inferred from the images)" if of_images else key
        table.add_row(shown, *(Text(s.get(key, "(unknown)")) for s in recorded.values()))
    return table


def same_settings(runs: dict[str, Run]) -> str:
    """What there is to say without a table of settings."""
    missing = [letter for letter, run in runs.items() if run.settings is None]
    if missing:
        return f"Settings  {', '.join(missing)} recorded none (made by an earlier version)"
    return "Settings  the same in every key"


def classes(first: Run, second: Run) -> Table | str:
    """The classes whose images changed from the first run to the second."""
    changed = changes_between(first.directory, second.directory)
    return classes_table(first.verdict["data"], second.verdict["data"], changed)


def changes(first: Run, second: Run) -> list[str]:
    """The change of test accuracy of each framework that both runs trained, in words."""
    lines = []
    sizes = [_test_images(run) for run in (first, second)]
    for framework in first.models.keys() & second.models.keys():
        before, after = (run.models[framework].get("accuracy") for run in (first, second))
        if before is None or after is None:
            continue
        line = f"{framework:<9} {after - before:+.4f} test accuracy from A to B"
        if sizes[0] == sizes[1] and sizes[0]:
            line += f" ({round((after - before) * sizes[0]):+,} of {sizes[0]:,} images)"
        lines.append(line)
    return sorted(lines)


def _test_images(run: Run) -> int:
    splits = (run.verdict.get("data") or {}).get("splits", {})
    return sum(splits.get("test", {}).values())
