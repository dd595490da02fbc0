"""What a person sees of a run: a line per step, the trainers' progress, the table at the end.

Everything libraries print goes to the run's log instead, see components/base/console.py.
"""

import contextlib
import os
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from components.base.console import chatter_to, console
from pipeline.configuration.config import RunConfig
from pipeline.line.steps import Step
from pipeline.outcome.rotated_log import RotatedLog
from pipeline.outcome.verdict import DOUBTFUL, DOUBTFUL_SHEET, EXIT_OK, Verdict
from pipeline.outcome.words import duration, number
from serving.contract.release_files import titles

if TYPE_CHECKING:
    from rich.status import Status

_OWN_PROGRESS = ("train_keras", "train_torch", "export")
_WIDTH = 110
_LONG, _SOON = 60, 2
"""Seconds of a step of which it is said beforehand how long it takes, and after how many."""


class Terminal:
    """Context manager: file descriptors 1 and 2 point at the log until it ends."""

    def __init__(self, log: Path):
        self._log = log
        self.notes: list[str] = []
        """What the heading adds."""
        self.usual: dict[str, float] = {}
        """How many seconds steps take as a rule: of long ones it is said beforehand."""
        self._announced: dict[str, threading.Timer] = {}

    def __enter__(self) -> "Terminal":
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(chatter_to(self._stack.enter_context(RotatedLog(self._log))))
        self._console = console()
        self._stack.callback(self._console.file.close)
        if not self._console.is_terminal:
            self._console.width = _WIDTH
        self._status: Status | None = None
        self._own: set[str] = set()  # running steps that print their progress themselves
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._announced.values():  # of steps that failed
            timer.cancel()
        self._stop_status()
        self._stack.close()

    def heading(self, config: RunConfig, run_id: str) -> None:
        image, model = config.image, config.model
        self._console.print(f"[bold]Darkroom[/] run {run_id}", highlight=False)
        self.say(
            f"{config.data.source} as {image.height}x{image.width}x{image.channels}, network "
            f"{model.architecture}; log in {short(self._log)}"
        )
        for note in self.notes:
            self.say(note)

    def show(self, what: Text | Table) -> None:
        """Prints what is ready to be printed."""
        self._console.print(what)

    def say(self, text: str) -> None:
        self._console.print(f"  {text}", style="dim", highlight=False, markup=False)

    def step_started(self, name: str) -> None:
        if self.usual.get(name, 0) >= _LONG:
            words = f"{name} takes {duration(self.usual[name])} as a rule"
            # Not of one that turns out to be cached.
            self._announced[name] = threading.Timer(_SOON, self.say, [words])
            self._announced[name].daemon = True
            self._announced[name].start()
        if name in _OWN_PROGRESS:
            self._own.add(name)
        elif not self._own:
            self.waiting(name)

    def waiting(self, what: str) -> None:
        """Shows what is going on, on a terminal, until something else does or the end."""
        self._stop_status()
        if self._console.is_terminal:
            self._status = self._console.status(what)
            self._status.start()

    def step_finished(self, step: Step) -> None:
        """Prints a step as one line."""
        self._own.discard(step.name)
        if timer := self._announced.pop(step.name, None):
            timer.cancel()
        self._stop_status()
        seconds = "cached" if step.cached else f"{step.seconds:.1f} s"
        line = Text.assemble((f"  {step.name:<16}", "bold"), f"{seconds:>8}   ", (step.why, "dim"))
        self._console.print(line)

    def _stop_status(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None

    def show_outcome(self, verdict: Verdict, directory: Path) -> None:
        """The table of models and artifacts, the verdict's sentence and what to do next."""
        out = self._console
        if verdict.models:
            out.print()
            out.print(models_table(verdict))
        failed = [gate for gate in verdict.gates if not gate["passed"]]
        if failed:
            out.print(gates_table(failed))
        out.print()
        for line in images_lines(verdict.data):
            out.print(line, highlight=False, markup=False)
        for line in cross_validation_lines(verdict.cross_validation, directory):
            out.print(line, highlight=False, markup=False)
        for line in left_out_lines(verdict):
            out.print(line, highlight=False, markup=False)
        for warning in verdict.warnings:
            out.print(Text.assemble((f"{'Warning':<11}", "bold yellow"), warning))
        if verdict.champion and verdict.release:
            own = [
                row["artifact"]
                for row in verdict.artifacts
                if row["model"] == verdict.champion and not row["left_out"]
            ]
            many = len(own) > 3
            formats = f"({verdict.champion} as {f'{len(own)} files' if many else titles(own)})"
            out.print(f"Champion   {verdict.champion}", highlight=False)
            out.print(f"Release    {short(Path(verdict.release))} {formats}", highlight=False)
        report = directory.parent / "latest" / "report.html"
        out.print(f"Report     {short(report)}", highlight=False)
        good = verdict.exit_code == EXIT_OK
        colour = "bold green" if good else "bold red"
        out.print(Text.assemble((f"{verdict.status.capitalize():<11}", colour), verdict.sentence))
        if good:
            root = directory.parent.parent
            python = short(Path(sys.executable))
            options = "" if root == Path("out").resolve() else f" --root {_quoted(root)}"
            out.print("\nTry next:", highlight=False)
            serve = f"{python} -m serving{options} --model {verdict.name}"
            out.print(f"  {serve}", highlight=False)
            out.print(f"  xdg-open {_quoted(report)}", highlight=False)


def images_lines(data: dict) -> list[str]:
    """How many images there were, and what became of the others (the first five set aside)."""
    if not data:
        return []
    splits = ", ".join(f"{sum(n.values()):,} {split}" for split, n in data["splits"].items())
    lines = [f"Images     {data['good']:,} of {len(data['splits']['train'])} classes ({splits})"]
    for item in data["findings"].get("quarantined", [])[:5]:
        lines.append(f"Set aside  {_printable(item['name'])}: {item['detail']}")
    if data["quarantined"] > 5:
        lines.append(f"           and {data['quarantined'] - 5:,} more, listed in findings.csv")
    if relabelled := data.get("relabelled", 0):
        lines.append(
            f"Relabelled {relabelled:,} images have another class than in the current release "
            "(findings.csv)"
        )
    if moved := data.get("moved", 0):
        lines.append(
            f"Moved      {moved:,} images came into the test split, or left it, since the current "
            "release (findings.csv)"
        )
    if data["duplicates"]:
        lines.append(
            f"Dropped    {data['duplicates']:,} duplicates: the same pixels are in val or test"
        )
    if copies := data.get("copies", 0):
        lines.append(
            f"Copies     {copies:,} images have the pixels of another one in the same split "
            "(findings.csv; they stay)"
        )
    if data["near_duplicates"]:
        lines.append(
            f"Look alike {data['near_duplicates']:,} images of val and test resemble one of an "
            "earlier split (findings.csv; they stay)"
        )
    if data["conflicting_labels"]:
        lines.append(
            f"Conflict   {data['conflicting_labels']:,} images share their pixels with one of "
            "another class (findings.csv)"
        )
    return lines


def cross_validation_lines(found: dict, directory: Path) -> list[str]:
    """The accuracy over all images, and how many of their labels look wrong."""
    if not found:
        return []
    lines = [
        f"Validated  {found['accuracy']:.4f} of all {found['images']:,} images named rightly by "
        f"heads that did not learn from them (95% interval {found['low']:.4f} to "
        f"{found['high']:.4f})"
    ]
    if count := found["doubtful"]:
        words = "label looks" if count == 1 else "labels look"
        listed = f" ({short(directory / DOUBTFUL)} and {DOUBTFUL_SHEET})"
        # An interrupted run leaves no pictures.
        where = listed if (directory / DOUBTFUL).is_file() else ""
        lines.append(f"Doubtful   {count:,} {words} wrong{where}")
    return lines


def _printable(name: str) -> str:
    """File names may hold line breaks and control characters."""
    return name if name.isprintable() else repr(name)


def models_table(verdict: Verdict) -> Table:
    """One row per framework and artifact: accuracy, size, agreement with its source, latency."""
    table = Table()
    for name in ("model", "artifact"):
        table.add_column(name)
    for name in ("accuracy", "size", "largest difference", "same top-1", "ms/image"):
        table.add_column(name, justify="right")
    table.add_column("gates")
    for model, values in verdict.models.items():
        blessed = _passed(values["blessed"])
        rows = [row for row in verdict.artifacts if row["model"] == model]
        table.add_row(
            model, "(trained)", number(values["accuracy"], ".4f"), "", "", "", "", blessed,
            end_section=not rows,
        )  # fmt: skip
        for row in rows:
            latency = (row["latency"] or {}).get("1", {})
            table.add_row(
                model,
                row["title"],
                number(row["accuracy"], ".4f"),
                f"{row['bytes'] / 1e6:.2f} MB",
                number(row["max_difference"], ".1e"),
                number(row["agreement"], ".2%"),
                number(latency["p50"], ".2f") if latency else "",
                Text("left out", style="yellow") if row["left_out"] else _passed(row["passed"]),
                end_section=row is rows[-1],
            )
    return table


def left_out_lines(verdict: Verdict) -> list[str]:
    """Why an artifact of the champion is not in the release."""
    return [
        f"Left out   {row['left_out']}"
        for row in verdict.artifacts
        if row["left_out"] and row["model"] == verdict.champion
    ]


def gates_table(gates: list[dict]) -> Table:
    """The gates that were not passed."""
    table = Table("gate", "model", "artifact", "expected", "received")
    for gate in gates:
        table.add_row(
            gate["name"], gate["model"] or "", gate["artifact"] or "", Text(gate["expected"]),
            Text(gate["received"], style="red"),
        )  # fmt: skip
    return table


def _passed(passed: bool) -> Text:
    return Text("passed", style="green") if passed else Text("failed", style="red")


def _quoted(path: Path) -> str:
    return shlex.quote(short(path))


def short(path: Path) -> str:
    """The path relative to the working directory where it lies below it."""
    absolute = Path(os.path.abspath(path))
    try:
        return str(absolute.relative_to(Path.cwd()))
    except ValueError:
        return str(absolute)
