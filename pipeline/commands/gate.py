"""`python -m pipeline gate RUN key=value`: a finished run judged again by other limits.

From the numbers that its verdict.json holds: nothing is trained, measured or written.
"""

import dataclasses
import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.base.config import Slice
from components.base.refusal import ConfigError
from components.gates.comparison import Comparison
from components.gates.model_gates import GatesConfig, judge
from components.gates.result import GateRefused, GateResult
from export.verification.artifact_gates import artifact_gates, left_out, refusals
from export.verification.config import ExportConfig
from pipeline.commands.compare import WIDTH, Run, find, print_behind
from pipeline.commands.explain import run_again
from pipeline.configuration.overrides import leaves, override, parse_overrides, restored
from pipeline.outcome import gate_words
from pipeline.outcome.verdict import EXIT_OK


class Limits(Slice):
    """What a run's numbers can be judged by again."""

    gates: GatesConfig
    export: ExportConfig = ExportConfig()


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Of one framework's model: its own gates, those of its artifacts, and which of these refuse a
    release rather than being left out."""

    model: list[GateResult]
    artifacts: list[GateResult]
    limits: ExportConfig

    @property
    def blessed(self) -> bool:
        return all(gate.passed for gate in self.model)

    @property
    def releasable(self) -> bool:
        return self.blessed and not refusals(self.artifacts, self.limits)

    def rows(self) -> list[dict]:
        return [gate.to_json() for gate in (*self.model, *self.artifacts)]


def gate(name: str, arguments: list[str], root: Path, console: Console | None = None) -> int:
    """Prints which gates change their mind; 0 when a model could be released, 3 when none could.

    Raises ConfigError for an unknown run, a run without models, or a key that is no limit.
    """
    pairs = parse_overrides(arguments)
    run = Run(find(name, root))
    if not run.models:
        raise ConfigError(
            f"Run {run.id} has no models to judge: {run.verdict['status']}, "
            f"{run.verdict['sentence']}"
        )
    if run.settings is None:
        raise ConfigError(f"Run {run.id} recorded no settings, which say what it was judged by.")
    before = restored(Limits, run.settings)
    after = _changed(before, pairs)
    out = console or Console(highlight=False)
    if console is None and not out.is_terminal:
        out.width = WIDTH
    print_behind([name], root, out)
    judged = {
        framework: tuple(judge_again(run, framework, limits) for limits in (before, after))
        for framework in run.models
    }
    tell(run, judged, pairs, out)
    good = any(now.releasable for _, now in judged.values())
    return EXIT_OK if good else GateRefused.exit_code


def _changed(before: Limits, pairs: dict[str, str]) -> Limits:
    known = leaves(before)
    for key in pairs:
        if key not in known and not key.startswith(("gates.", "export.")):
            raise ConfigError(
                f"{key!r} is no limit of what is measured already: expected keys of gates.* and "
                "export.*; everything else takes a run."
            )
    return override(before, pairs)


def judge_again(run: Run, framework: str, limits: Limits) -> Judgement:
    """The gates of one model of the run, under these limits."""
    model = run.models[framework]
    metrics = {"accuracy": None, "loss": None} | (model.get("metrics") or {})
    compared = (run.verdict.get("comparisons") or {}).get(framework, [])
    comparisons = [Comparison.from_json(row) for row in compared]
    rows = [row for row in run.verdict["artifacts"] if row["model"] == framework]
    latency = {framework: {r["artifact"]: r["latency"] for r in rows if r.get("latency")}}
    records = [_record(row, model["accuracy"]) for row in rows]
    return Judgement(
        judge(framework, metrics, comparisons, limits.gates),
        artifact_gates(records, latency, limits.export),
        limits.export,
    )


def _record(row: dict, accuracy: float | None) -> dict:
    """An artifact as parity.json has it, from the worst of its batch sizes in verdict.json."""
    worst = row.get("max_difference")
    return {
        "framework": row["model"],
        "artifact": row["artifact"],
        "batch": "any",
        "error": None if worst is not None else "it did in the run",
        "max_difference": worst,
        "mean_difference": row.get("mean_difference"),
        "agreement": row["agreement"],
        "accuracy": row["accuracy"],
        "source_accuracy": accuracy,
        "bytes": row["bytes"],
    }


def tell(
    run: Run,
    judged: dict[str, tuple[Judgement, ...]],
    pairs: dict[str, str],
    out: Console,
) -> None:
    """The gates that change their mind, what is then blessed, and how to release it."""
    changed = "  ".join(f"{key}={value}" for key, value in pairs.items())
    out.print(Text.assemble("Run ", (run.id, "bold"), f"  judged by {changed or 'its own limits'}"))
    table = Table("gate", "was", "is", "received", "expected")
    for was, now in judged.values():
        for row in changes(was, now):
            table.add_row(*row)
    out.print(table if table.row_count else "No gate changes its mind.", highlight=False)
    for framework, (was, now) in judged.items():
        out.print(_sentence(framework, was, now), highlight=False)
    good = any(now.releasable for _, now in judged.values())
    out.print("Nothing was changed" + (": to release by these limits" if good else "."))
    if good:
        words = " ".join(shlex.quote(f"{key}={value}") for key, value in pairs.items())
        out.print(Text(f"  {run_again(run)} {words}".rstrip()), soft_wrap=True)


def changes(was: Judgement, now: Judgement) -> list[tuple[str, Text, Text, str, str]]:
    """A row for each gate that passes now and did not, or the other way round, or is new."""
    rows = []
    before = {_title(gate): gate["passed"] for gate in was.rows()}
    for row in now.rows():
        title = _title(row)
        if before.get(title) != row["passed"] and (title in before or not row["passed"]):
            rows.append(
                (title, _word(before.get(title)), _word(row["passed"]), row["received"])
                + (row["expected"],)
            )
    return rows


def _title(row: dict) -> str:
    """Without the batch size: a record stands for all of them."""
    return gate_words.title(row | {"artifact": gate_words.artifact(row)})


def _word(passed: bool | None) -> Text:
    if passed is None:
        return Text("not asked", style="dim")
    return Text("passed", style="green") if passed else Text("failed", style="red")


def _sentence(framework: str, was: Judgement, now: Judgement) -> Text:
    failed = [gate for gate in now.model if not gate.passed]
    failed += refusals(now.artifacts, now.limits)
    end = "" if now.blessed == was.blessed else f" (was {_blessed(was)})"
    text = Text.assemble(
        (f"{framework:<9}", "bold"),
        (_blessed(now), "green" if now.releasable else "red"), end,
    )  # fmt: skip
    if not failed and not now.artifacts:
        text.append("; it was not exported, a run makes and verifies its artifacts")
    if failed:
        text.append("; failed: " + ", ".join(_title(g.to_json()) for g in failed))
    out = left_out(now.artifacts, now.limits)
    if now.releasable and out:
        text.append("; left out: " + ", ".join(name for _, name in out))
    return text


def _blessed(judgement: Judgement) -> str:
    if judgement.releasable:
        return "blessed"
    return "refused by its artifacts" if judgement.blessed else "not blessed"
