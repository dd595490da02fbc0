"""One run from command to verdict: everything around the DAG, none of it needing TFX.

lock -> look at the source -> unchanged? -> DAG -> verdict.json, report.html, table
"""

import contextlib
import datetime
import time
from pathlib import Path

from components.base import atomic, disk
from components.base.console import log_stack
from components.base.frameworks import FRAMEWORKS
from components.base.process import warm_processes
from components.base.refusal import DataRefused, Refusal
from components.base.without import OF_TFX, without
from components.sources.listing import content_fingerprint
from components.sources.open_source import listed_once, open_source
from components.sources.source import Source
from pipeline.configuration.config import RunConfig, checkpoints_path, root_path
from pipeline.configuration.configure import configure
from pipeline.configuration.fitting import check_classes, check_signing
from pipeline.configuration.inferred import inferred_keys
from pipeline.configuration.overrides import as_arguments, parse_overrides, restored
from pipeline.line import reserve
from pipeline.line.inputs import classes, schema_text
from pipeline.line.interruption import Interrupted, interruptible
from pipeline.line.output_root import check_outside, locked, writable
from pipeline.line.scratch import scratch
from pipeline.line.steps import Outputs, Step
from pipeline.operation.afterwards import Afterwards, follow
from pipeline.outcome import unchanged
from pipeline.outcome.kept_files import keep_files
from pipeline.outcome.step_history import read_history, slow_steps, usual_seconds
from pipeline.outcome.terminal import Terminal
from pipeline.outcome.unfinished import Progress, close_killed, forget
from pipeline.outcome.verdict import (
    CONFIGURATION,
    EXIT_INTERNAL,
    Verdict,
    last_verdict,
    point_latest,
)
from serving.store.store import Store

_KEPT_OF = (("ingest", "report"), ("data_gate", "verdict"), ("augment", "plan"))
"""Those outputs, (step, output); a later one's file takes the place of an earlier one's."""

_NOT_PICTURED = {"export", "push"}
"""Steps that no picture shows anything of."""

LISTINGS = "listings"
"""Folder of the output root with what `content_fingerprint` keeps."""


@listed_once()
def run(preset: str, arguments: list[str]) -> int:
    """Runs the line and returns the exit code; what a person reads goes to standard output.

    Raises ConfigError (exit code 2) before anything is written, and Locked (75).
    """
    overrides = parse_overrides(arguments)
    refusal = None
    try:
        config = configure(preset, overrides)
        source = open_source(config.data)
        check_classes(config, source.labels)
        check_signing(config)
        root = root_path(config)
        afterwards = Afterwards(notify=config.notify, tracking=config.tracking, runs=config.runs)
    except DataRefused as error:
        # The folder could not even be looked at: there is no configuration to open a run with.
        afterwards = restored(Afterwards, overrides)
        refusal, root = error, Path(overrides.get("root") or "out").expanduser().resolve()
    schema = ""
    check_outside(root, config.data.source if refusal is None else preset)
    if refusal is None:
        schema = schema_text(config.data.schema_path)
    with disk.explained(root), locked(writable(root)), scratch(root):
        started = time.monotonic()
        name = config.name if refusal is None else overrides.get("name", preset)
        verdict = Verdict(run_id=_run_id(), preset=preset, name=name)
        verdict.inferred = inferred_keys(preset, overrides)
        directory = root / "runs" / verdict.run_id
        reserve.hold(root)
        killed = close_killed(root / "runs")
        directory.mkdir(parents=True)
        progress = Progress(directory, verdict)
        with Terminal(directory / "log.txt") as terminal, interruptible() as signals:
            try:
                terminal.notes = [
                    f"run {of.run_id} left no verdict: {of.sentence}" for of in killed
                ]
                if refusal is not None:
                    raise refusal
                _decide(config, source, schema, verdict, root, terminal, progress)
            except DataRefused as error:
                from pipeline.outcome.collect import collect_refusal

                collect_refusal(verdict, error)
            except Interrupted as error:
                from pipeline.outcome.collect import collect_interruption

                collect_interruption(verdict, error)
            except Exception as error:
                # A run never ends without a verdict.
                log_stack()
                verdict.status, verdict.exit_code = "failed", EXIT_INTERNAL
                verdict.sentence = _sentence(error, root)
            signals.defer()
            verdict.seconds = time.monotonic() - started
            return _close(verdict, directory, terminal, afterwards)


def _sentence(error: Exception, root: Path) -> str:
    known = isinstance(error, Refusal)
    if disk.is_full(error) or (not known and disk.nothing_free(root)):
        return str(disk.disk_full(root))
    kind = "" if known else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())


def _decide(
    config: RunConfig,
    source: Source,
    schema: str,
    verdict: Verdict,
    root: Path,
    terminal: Terminal,
    progress: Progress,
) -> None:
    """Repeats the last verdict where nothing changed, otherwise runs the line."""
    verdict.name = config.name
    terminal.heading(config, verdict.run_id)
    lines = [f"# python -m pipeline run {verdict.preset} @FILE", *as_arguments(config)]
    atomic.write(root / "runs" / verdict.run_id / CONFIGURATION, "\n".join(lines) + "\n")
    store = Store(root / "serving")
    if store.names():
        store.repair()  # after a push that was interrupted: an unchanged run makes none
    current = store.current(config.name)
    images = content_fingerprint(source, config.data, root / LISTINGS)
    verdict.source_fingerprint = images
    verdict.fingerprint = unchanged.fingerprint(config, images, schema)
    previous = last_verdict(root / "runs", config.name)
    if previous and unchanged.still_holds(previous, verdict.fingerprint, current):
        unchanged.repeat(previous, verdict, current)
        runs = root / "runs"
        keep_files(runs / previous.run_id, runs / verdict.run_id, link=True)
    else:
        labels = classes(config, source, current)
        if current and labels != tuple(current.contract()["labels"]):
            terminal.say(f"other classes than release {current.version} has: {', '.join(labels)}")
        plan = {"source": images, "labels": labels, "schema": schema, "baseline": current}
        _run_line(config, plan, verdict, root, terminal, progress)
        current = store.current(config.name)
    verdict.current = current.version if current else None


def _run_line(
    config: RunConfig,
    plan: dict,
    verdict: Verdict,
    root: Path,
    terminal: Terminal,
    progress: Progress,
) -> None:
    """Builds the DAG (`plan` holds what `dag.build` asks for), runs it, and fills `verdict` from
    what its steps left."""
    done: list[Step] = []

    def started(name: str) -> None:
        progress.started(name)
        terminal.step_started(name)

    def finished(step: Step) -> None:
        progress.finished(step)
        terminal.step_finished(step)
        _drop_checkpoints(checkpoints_path(config), step)
        done.append(step)
        if {of.id for of in pipeline.components} - {of.name for of in done} == _NOT_PICTURED:
            pictures.begin(Outputs(done))

    directory = root / "runs" / verdict.run_id
    earlier = [past for past in read_history(root / "runs") if past.name == config.name]
    terminal.usual = usual_seconds(earlier)
    terminal.say("starting TFX")
    with warm_processes(sparing=True):
        with without(*OF_TFX):
            from pipeline.line import dag, runner
        from pipeline.outcome.collect import collect
        from pipeline.outcome.pictures import Pictures

        pipeline = dag.build(config, run_id=verdict.run_id, **plan)
        pictures = Pictures(config.augment, directory)
        steps, error = runner.execute(
            pipeline, started, finished, inferred=frozenset(verdict.inferred)
        )
        if isinstance(error, Interrupted):
            pictures.abandon()
        else:
            pictures.finish(Outputs(steps))
    collect(verdict, config.export, steps, error)
    if isinstance(error, Interrupted):
        return  # there is no time for more
    verdict.warnings += slow_steps(verdict.steps, earlier)
    for step, output in _KEPT_OF:
        if kept := Outputs(steps).directory(step, output):
            keep_files(kept, directory)
    if findings := getattr(error, "findings", b""):
        (directory / "findings.csv").write_bytes(findings)


def _drop_checkpoints(directory: Path, step: Step) -> None:
    """A training's, once its model is published: what is killed before that goes on from them.

    Where the model is an earlier run's they are another training's, which may still go on.
    """
    from components.training.checkpoint import Checkpoints
    from components.training.stages import STAGES

    for framework in FRAMEWORKS:
        if step.name == f"train_{framework}" and step.outputs and not step.cached:
            with contextlib.suppress(OSError):
                for stage in STAGES:
                    Checkpoints(directory / framework / stage, identity="").clear()


def _close(verdict: Verdict, directory: Path, terminal: Terminal, afterwards: Afterwards) -> int:
    """Writes verdict, report and link, prints the table, tells who is to be told, cleans up behind
    earlier runs, returns the exit code."""
    from pipeline.outcome import report

    root = directory.parent.parent
    reserve.give_up(root)
    verdict.write(directory)
    forget(directory)
    point_latest(directory.parent, verdict.run_id)
    reserve.hold(root)
    try:
        report.write(verdict, directory)
    except Exception as error:  # noqa: BLE001 - the verdict stands whatever its page looks like
        log_stack()
        terminal.say(f"the report could not be written: {error}")
    with contextlib.suppress(OSError):  # a terminal that was closed
        terminal.show_outcome(verdict, directory)
    for failure in follow(afterwards, verdict, directory):
        terminal.say(failure)
    return verdict.exit_code


def _run_id() -> str:
    """UTC time to the microsecond: sorts by age, and the lock keeps it unique."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")
