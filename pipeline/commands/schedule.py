"""`python -m pipeline schedule`, `unschedule` and `schedules`: runs that start themselves."""

import datetime
import difflib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.base import atomic
from components.base.refusal import ConfigError
from pipeline.commands.words import taken
from pipeline.line.output_root import writable
from pipeline.operation.triggers import crontab, systemd
from pipeline.operation.triggers.cron_expression import CronExpression, time_zone
from pipeline.operation.triggers.scheduled_run import (
    Installed,
    ScheduledRun,
    absolute_source,
    scheduled_run,
)

_COMING = 3
_WIDTH = 130
_BY = ("cron", "systemd")


def schedule(preset: str, expression: str, words: Sequence[str], output: Path | None) -> str:
    """Installs the run where `install=` says so, otherwise tells what would be, or writes it into
    the folder `output`; returns what a person is told.

    Raises ConfigError and DataRefused for what a run would refuse now, and where it cannot be
    installed.
    """
    rest, values = taken(words, "install")
    by = values.get("install")
    if by is not None and by not in _BY:
        close = difflib.get_close_matches(by, _BY, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"Bad value for install: {by!r}: did you mean {close!r}? Expected cron or systemd."
        )
    run = scheduled_run(preset, expression, rest)
    if by is not None:
        return f"{_install(run, by)}\n{_coming(run.cron)}"
    files = contents(run)
    if output is None:
        shown = "\n".join(f"# ---- {name}\n{text}" for name, text in files.items())
        return f"{shown}\n# {_coming(run.cron)}"
    folder = output.expanduser()
    try:
        for name, text in files.items():
            atomic.write(folder / name, text)
    except OSError as error:
        raise ConfigError(
            f"Cannot write into {str(folder)!r} ({error.strerror or error}): name another folder."
        ) from error
    return f"Written to {folder}: {', '.join(files)}\n{_coming(run.cron)}"


def contents(run: ScheduledRun) -> dict[str, str]:
    """The text of every file that can be installed, by name."""
    from pipeline.operation.triggers import kubernetes_cron_job

    return {
        f"{run.name}.crontab": crontab.block(run),
        **systemd.units(run),
        f"{run.name}.cronjob.yaml": kubernetes_cron_job.text(run),
    }


def unschedule(name: str, root: str | None = None) -> str:
    """Removes the schedule of that name, or the one of that preset, where `root` is given only one
    of that output root; returns what a person is told.

    Raises ConfigError where there is none, or several of the preset.
    """
    known = _installed(root)
    found = [one for one in known if one.name == name]
    found = found or [one for one in known if one.preset == absolute_source(name)]
    names = sorted({one.name for one in found})
    if not names:
        have = [one.name for one in known]
        close = difflib.get_close_matches(name, have, n=1)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"scheduled: {', '.join(have) or 'none'}."
        )
        raise ConfigError(f"Nothing called {name!r} is scheduled: {hint}")
    if len(names) > 1:
        raise ConfigError(
            f"{name!r} is scheduled as {', '.join(names)}: name the one that is to go."
        )
    for one in found:
        if one.by == "cron":
            crontab.write(crontab.without(crontab.read(), one.name))
        else:
            systemd.uninstall(one.name)
    return f"Removed {names[0]} from {' and '.join(one.by for one in found)}."


def schedules(root: str | None = None, console: Console | None = None) -> None:
    """Prints what is installed, where `root` is given for that output root, with the next three
    times of each."""
    out = console or Console()
    if console is None and not out.is_terminal:
        out.width = _WIDTH
    known = _installed(root)
    if not known:
        out.print("Nothing is scheduled.", highlight=False)
        return
    zone_name, zone = time_zone()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("NAME", "BY", "CRON", f"NEXT ({zone_name or 'local time'})", "OF", "ROOT"):
        table.add_column(title, no_wrap=title in ("NAME", "BY"), overflow="fold")
    for one in known:
        try:
            coming = "\n".join(_moments(CronExpression.parse(one.cron), zone))
        except ConfigError:
            coming = "never: cron cannot read it"
        state = Text(f"\n{one.problem}" if one.problem else "", style="red")
        cells = (one.name, one.by, one.cron, Text(coming) + state, one.preset, one.root)
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    out.print(table, highlight=False)
    if any(one.by == "cron" for one in known) and not crontab.daemon_runs():
        out.print("No cron runs on this machine: nothing of it starts.", style="red")


def _install(run: ScheduledRun, by: str) -> str:
    for one in _installed():
        if one.name != run.name:
            continue
        if one.by != by or one.root != str(run.root):
            raise ConfigError(
                f"{run.name!r} is scheduled already, by {one.by} for {one.root!r}: `unschedule "
                f"{run.name}` first, or give this one a name=..."
            )
    added = crontab.block(run)
    writable(run.root)
    if by == "systemd":
        said = systemd.install(run)
        return f"Installed as {', '.join(systemd.units(run))} in {systemd.folder()}. {said}".strip()
    crontab.write(crontab.with_block(crontab.read(), run.name, added))
    warning = "" if crontab.daemon_runs() else " No cron runs on this machine: start it."
    return f"Installed in the crontab.{warning}"


def _installed(root: str | None = None) -> list[Installed]:
    """Of this user, by cron and by systemd; a machine may have one of them only."""
    try:
        in_crontab = crontab.installed(crontab.read())
    except ConfigError:
        in_crontab = []
    found = [*in_crontab, *systemd.installed()]
    if root is None:
        return found
    wanted = str(Path(root).expanduser().resolve())
    return [one for one in found if one.root == wanted]


def _coming(cron: CronExpression) -> str:
    name, zone = time_zone()
    return f"Next: {', '.join(_moments(cron, zone))} ({name or 'local time'})"


def _moments(cron: CronExpression, zone: datetime.tzinfo) -> list[str]:
    after = datetime.datetime.now(zone)
    return [f"{moment:%a %Y-%m-%d %H:%M}" for moment in cron.following(after, _COMING)]
