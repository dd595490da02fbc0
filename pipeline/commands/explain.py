"""`python -m pipeline explain RUN`: the verdict of a run in full, failed gates first."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from components.base.refusal import DataRefused
from components.gates.result import GateRefused
from pipeline.commands.compare import WIDTH, Run, find, print_behind
from pipeline.outcome import gate_words
from pipeline.outcome.terminal import images_lines, short
from pipeline.outcome.verdict import CONFIGURATION, EXIT_OK
from pipeline.outcome.words import artifact_state, number


def explain(name: str, root: Path, console: Console | None = None) -> None:
    """Prints all that the run came to. Raises ConfigError when `name` stands for no run."""
    run = Run(find(name, root))
    out = console or Console(highlight=False)
    if console is None and not out.is_terminal:
        out.width = WIDTH
    print_behind([name], root, out)
    out.print(headline(run), highlight=False)
    for title, content in sections(run):
        out.print(Text(f"\n{title}", style="bold"))
        out.print(Padding(content, (0, 0, 0, 2), expand=False), highlight=False)
    out.print(Text("\nNext", style="bold"))
    for words, command in what_next(run):
        # Whole, however long, so that it can be copied.
        out.print(Text(f"  {words}\n    {command}"), soft_wrap=True)


def sections(run: Run) -> Iterator[tuple[str, RenderableType]]:
    """Title and content of each part, in the order of what a person wants to know first."""
    verdict = run.verdict
    failed = [gate for gate in verdict["gates"] if not gate["passed"]]
    passed = [gate for gate in verdict["gates"] if gate["passed"]]
    if failed:
        yield f"Failed gates: {len(failed)}", failed_gates(failed, run.settings or {})
    if passed:
        yield f"Passed gates: {len(passed)}", passed_gates(passed)
    if run.models:
        yield "Models", models(run)
    for framework in run.models:
        rows = [row for row in verdict["artifacts"] if row["model"] == framework]
        if rows:
            yield f"Artifacts of {framework}", artifacts(rows)
    if verdict.get("data"):
        yield "Data", lines(*images_lines(verdict["data"]))
    if found := warnings(run):
        yield "Warnings", lines(*found)


def headline(run: Run) -> RenderableType:
    """Whose run, how it ended, and the verdict's sentence."""
    verdict = run.verdict
    colour = "green" if verdict["exit_code"] == EXIT_OK else "red"
    name = verdict["preset"]
    if verdict["name"] != name:
        name += f" as {verdict['name']}"
    told = f"  exit code {verdict['exit_code']}, {name}, {verdict.get('seconds') or 0:,.0f} s"
    first = Text.assemble(
        "Run ", (run.id, "bold"), "  ", (verdict["status"], f"bold {colour}"), (told, "dim")
    )
    return Group(first, Text(verdict["sentence"]))


def failed_gates(gates: list[dict], recorded: dict[str, str]) -> RenderableType:
    """Each with what it asks for, what it got, and the settings that it is from."""
    table = grid()
    # The same at several batch sizes is said once.
    same: dict[tuple, list[dict]] = {}
    for gate in gates:
        what = gate_words.subject(gate), gate["name"], gate.get("scope")
        same.setdefault((*what, gate["expected"], gate["received"]), []).append(gate)
    for place, (gate, *others) in enumerate(same.values(), 1):
        words = gate_words.title(gate, *others)
        table.add_row(f"{place}.", Text(words, style="bold red"))
        table.add_row("", Text.assemble(("received  ", "dim"), gate["received"]))
        table.add_row("", Text.assemble(("expected  ", "dim"), gate["expected"]))
        for key in gate_words.settings(gate):
            value = f" (was {recorded[key]})" if key in recorded else ""
            table.add_row("", Text.assemble(("setting   ", "dim"), key, value))
    return table


def passed_gates(gates: list[dict]) -> RenderableType:
    """Names, and of models what was received; artifacts of a model that passed the same gates
    share a row."""
    words: dict[tuple[str, str], dict[str, str]] = {}
    for gate in gates:
        of = gate.get("model") or "the data", gate_words.artifact(gate)
        scope = f" ({gate['scope']})" if gate.get("scope") else ""
        received = f" {gate['received']}" if gate["model"] and not of[1] else ""
        words.setdefault(of, {})[gate["name"].replace("_", " ") + scope] = received
    rows: dict[tuple[str, str], list[str]] = {}
    for (model, artifact), passed in words.items():
        text = ", ".join(name + received for name, received in passed.items())
        rows.setdefault((model, text), []).append(artifact)
    table = grid()
    for (model, text), artifacts in rows.items():
        names = ", ".join(filter(None, artifacts))
        table.add_row(model, Text(f"{names}: {text}" if names else text))
    return table


def models(run: Run) -> RenderableType:
    """One row for each framework: what it reached on the test split, and how it was trained."""
    rows: dict[str, list[str]] = {}
    for model in run.models.values():
        metrics = model.get("metrics") or {}
        interval, calibration = metrics.get("interval"), metrics.get("calibration") or {}
        cells = {
            "gates": "passed" if model.get("blessed") else "failed",
            "test accuracy": number(model.get("accuracy")),
            "95% interval": " to ".join(map(number, interval)) if interval else "",
            "loss": number(model.get("loss")),
            "calibration error": _calibration(calibration),
            **{f"under {n}": number(v) for n, v in (metrics.get("robustness") or {}).items()},
            "best epoch": f"{model.get('best_epoch', '?')} of {model.get('epochs', '?')}",
            "training": f"{model.get('train_seconds') or 0:,.0f} s on {model.get('device', '?')}",
        }
        for title, cell in cells.items():
            rows.setdefault(title, []).append(cell)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", *run.models):
        table.add_column(title, overflow="fold")
    for title, row in rows.items():
        if any(row):
            table.add_row(Text(title, style="dim"), *row)
    return table


def _calibration(found: dict[str, Any]) -> str:
    if not found:
        return ""
    if found.get("temperature", 1.0) == 1.0:
        return number(found["error"])
    return (
        f"{number(found['error'])} ({number(found['error_before'])} before temperature "
        f"{found['temperature']:.3f})"
    )


def artifacts(rows: list[dict]) -> RenderableType:
    """One row for each, with the reason where it is left out."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", min_width=10, overflow="fold")
    for title in ("accuracy", "MB", "difference", "same top-1", "ms"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        latency = ((row.get("latency") or {}).get("1") or {}).get("p50")
        state = artifact_state(row)
        table.add_row(
            row.get("title") or row["artifact"],
            number(row.get("accuracy")),
            number(row["bytes"] and row["bytes"] / 1e6, ".2f"),
            number(row.get("max_difference"), ".0e"),
            number(row.get("agreement"), ".2%"),
            number(latency, ".2f") if latency is not None else "",
            Text(state, style={"passed": "green", "failed": "red"}.get(state, "yellow")),
        )
    reasons = [f"Left out: {row['left_out'].rstrip('.')}." for row in rows if row.get("left_out")]
    return Group(table, lines(*reasons)) if reasons else table


def warnings(run: Run) -> list[str]:
    """What stopped nothing, and still wants to be known."""
    found = list(run.verdict.get("warnings") or [])
    asked = (run.settings or {}).get("evaluate.temperature_scaling") == "True"
    for framework, model in run.models.items():
        calibration = (model.get("metrics") or {}).get("calibration") or {}
        if asked and calibration.get("reason"):
            found.append(f"{framework} is not calibrated: {calibration['reason']}")
        if run.verdict["exit_code"] == EXIT_OK and not model.get("blessed"):
            found.append(f"{framework} did not pass the gates and is not in the release.")
    return found


def what_next(run: Run) -> list[tuple[str, str]]:
    """What may be done, and the command or the file for it, by how the run ended."""
    verdict, directory = run.verdict, run.directory
    python = short(Path(sys.executable))
    root = shlex.quote(short(directory.parent.parent))
    found = []
    if verdict["exit_code"] == EXIT_OK:
        found.append(("Serve it:", f"{python} -m serving --root {root} --model {verdict['name']}"))
    failed = [gate for gate in verdict["gates"] if not gate["passed"]]
    keys = [key for gate in failed for key in gate_words.settings(gate)[:1]]
    limits = [key for key in dict.fromkeys(keys) if key.startswith(("gates.", "export."))]
    if limits and run.models:
        values = " ".join(f"{key}=..." for key in limits)
        command = f"{python} -m pipeline gate {run.id} {values} root={root}"
        found.append(("Judge it by other limits, in seconds:", command))
    if failed and run.settings:
        found.append(("Run it again with other settings:", f"{run_again(run)} key=value ..."))
    if verdict["exit_code"] not in (EXIT_OK, GateRefused.exit_code, DataRefused.exit_code):
        found.append(("Look at the log:", short(directory / "log.txt")))
    for file, words in (
        ("findings.csv", "What was found in the files:"), ("report.html", "See it:"),
    ):  # fmt: skip
        if (directory / file).is_file():
            found.append((words, short(directory / file)))
    return found


def run_again(run: Run) -> str:
    """The command that repeats the run, to which overrides may be added."""
    file = shlex.quote(f"@{short(run.directory / CONFIGURATION)}")
    preset = shlex.quote(run.verdict["preset"])
    return f"{short(Path(sys.executable))} -m pipeline run {preset} {file}"


def grid() -> Table:
    """A label, and words beside it that wrap under themselves."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def lines(*texts: str) -> RenderableType:
    """Each on a line of its own, going on deeper where it does not fit."""
    table = Table.grid()
    table.add_column(overflow="fold")
    for text in texts:
        table.add_row(Text(text))
    return table
