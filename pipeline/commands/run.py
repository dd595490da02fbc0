"""One run from command to verdict: everything around the DAG, none of it needing TFX.

lock -> look at the source -> unchanged? -> DAG -> verdict.json, report.html, table
"""

import contextlib
import datetime
import hashlib
import json
import shutil
import time
import traceback
from pathlib import Path

from components.base import atomic, disk
from components.base.fingerprint import PACKAGES, ROOT, custom_hashes
from components.base.refusal import DataRefused, Refusal
from components.networks.network import FRAMEWORKS
from components.sources.open_source import listed_once, open_source
from components.sources.source import Source
from components.training.checkpoint import Checkpoints
from pipeline.configuration import presets
from pipeline.configuration.config import BESIDE, RunConfig, checkpoints_path, root_path
from pipeline.configuration.fitting import check_classes, check_signing
from pipeline.configuration.overrides import as_arguments, parse_overrides, restored
from pipeline.line import reserve
from pipeline.line.inputs import classes, schema_text
from pipeline.line.interruption import Interrupted, interruptible
from pipeline.line.output_root import check_outside, locked, writable
from pipeline.line.scratch import scratch
from pipeline.line.steps import Outputs, Step
from pipeline.operation.afterwards import Afterwards, follow
from pipeline.outcome.collect import (
    collect,
    collect_interruption,
    collect_refusal,
    gate_warnings,
)
from pipeline.outcome.step_history import read_history, slow_steps
from pipeline.outcome.terminal import Terminal
from pipeline.outcome.unfinished import Progress, close_killed, forget
from pipeline.outcome.verdict import (
    CONFIGURATION,
    EXIT_INTERNAL,
    EXIT_OK,
    MISTAKES,
    SAMPLES,
    SAMPLES_DARK,
    Verdict,
    last_verdict,
    point_latest,
)
from serving.store.release import Release, StoreError
from serving.store.store import Store

KEPT = ("preview.png", "findings.csv", "images.csv")
"""Files of steps' outputs that are copied into the run."""
_KEPT_OF = (("ingest", "report"), ("data_gate", "verdict"), ("augment", "plan"))
"""Those outputs, (step, output); a later one's file takes the place of an earlier one's."""


@listed_once()
def run(preset: str, arguments: list[str]) -> int:
    """Runs the line and returns the exit code; what a person reads goes to standard output.

    Raises ConfigError (exit code 2) before anything is written, and Locked (75).
    """
    overrides = parse_overrides(arguments)
    refusal = None
    try:
        config = presets.configure(preset, overrides)
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
                collect_refusal(verdict, error)
            except Interrupted as error:
                collect_interruption(verdict, error)
            except Exception as error:
                # A run never ends without a verdict.
                _log_stack()
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


def _log_stack() -> None:
    with contextlib.suppress(OSError):  # the log's disk may be full
        traceback.print_exc()


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
    images = source.fingerprint()
    verdict.source_fingerprint = images
    verdict.fingerprint = _fingerprint(config, images, schema)
    previous = last_verdict(root / "runs", config.name)
    if previous and _still_holds(previous, verdict.fingerprint, current):
        _repeat(previous, verdict, current)
        _keep_files(root / "runs" / previous.run_id, root / "runs" / verdict.run_id)
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
    terminal.say("starting TFX")
    from pipeline.line import dag, runner

    pipeline = dag.build(config, run_id=verdict.run_id, **plan)

    def started(name: str) -> None:
        progress.started(name)
        terminal.step_started(name)

    def finished(step: Step) -> None:
        progress.finished(step)
        terminal.step_finished(step)
        _drop_checkpoints(checkpoints_path(config), step)

    steps, error = runner.execute(pipeline, started, finished)
    collect(verdict, config.export, steps, error)
    if isinstance(error, Interrupted):
        return  # there is no time for more
    earlier = [past for past in read_history(root / "runs") if past.name == config.name]
    verdict.warnings += slow_steps(verdict.steps, earlier)
    _draw_preview(config, Outputs(steps))
    for step, output in _KEPT_OF:
        if directory := Outputs(steps).directory(step, output):
            _keep_files(directory, root / "runs" / verdict.run_id)
    if findings := getattr(error, "findings", b""):
        (root / "runs" / verdict.run_id / "findings.csv").write_bytes(findings)
    _draw_answers(Outputs(steps), root / "runs" / verdict.run_id)


def _drop_checkpoints(directory: Path, step: Step) -> None:
    """A training's, once its model is published: what is killed before that goes on from them.

    Where the model is an earlier run's they are another training's, which may still go on.
    """
    for framework in FRAMEWORKS:
        if step.name == f"train_{framework}" and step.outputs and not step.cached:
            with contextlib.suppress(OSError):
                Checkpoints(directory / framework, identity="").clear()


def _draw_preview(config: RunConfig, outputs: Outputs) -> None:
    """`preview.png` beside the augmentation plan that it shows, once for each plan. Not by the step
    itself: how a picture is drawn must not decide whether a model is trained again."""
    from components.data.arrays import ImageArrays
    from pipeline.outcome.preview_sheet import write_preview

    arrays, plan = outputs.directory("pack", "arrays"), outputs.directory("augment", "plan")
    if arrays is None or plan is None or (plan / "preview.png").is_file():
        return
    try:
        work = plan / "preview"
        write_preview(ImageArrays(arrays), config.augment, work, plan / "preview.png")
    except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
        _log_stack()


def _draw_answers(outputs: Outputs, directory: Path) -> None:
    """`samples.png` and `mistakes.json` of what was packed and predicted, whether a gate let it
    pass or not."""
    from components.data import image_index
    from components.data.arrays import ImageArrays
    from pipeline.outcome.gallery import write_mistakes
    from pipeline.outcome.samples import DARK, write_samples

    arrays = outputs.directory("pack", "arrays")
    found = {name: outputs.directory(f"evaluate_{name}", "predictions") for name in FRAMEWORKS}
    report = outputs.directory("ingest", "report")
    if arrays is None:
        return
    try:
        images = ImageArrays(arrays)
        answers = {name: path / "test.npz" for name, path in found.items() if path}
        write_samples(images, answers, directory / SAMPLES)
        write_samples(images, answers, directory / SAMPLES_DARK, DARK)
        index = report / image_index.INDEX if report else None
        write_mistakes(images, answers, index, directory / MISTAKES)
    except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
        _log_stack()


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
        _log_stack()
        terminal.say(f"the report could not be written: {error}")
    with contextlib.suppress(OSError):  # a terminal that was closed
        terminal.show_outcome(verdict, directory)
    for failure in follow(afterwards, verdict, directory):
        terminal.say(failure)
    return verdict.exit_code


def _still_holds(previous: Verdict, fingerprint: str, current: Release | None) -> bool:
    """Whether the last verdict answers this command too: the same source, configuration, code and
    current release, an end that was no accident, and the release still whole."""
    if previous.fingerprint != fingerprint or previous.status == "failed":
        return False
    if previous.current != (current.version if current else None):
        return False
    try:
        if current is not None:
            current.verify()
    except StoreError:
        return False
    return True


def _repeat(previous: Verdict, verdict: Verdict, current: Release | None) -> None:
    for field in (
        *("version", "champion", "models", "artifacts", "gates", "data"),
        *("contract", "comparisons"),
    ):
        setattr(verdict, field, getattr(previous, field))
    verdict.warnings = gate_warnings(verdict.gates)  # not of the time that was not taken
    verdict.exit_code = previous.exit_code
    verdict.steps = [
        step | {"seconds": 0.0, "peak_memory": 0, "cached": True, "why": "nothing changed"}
        for step in previous.steps
    ]
    if previous.exit_code == EXIT_OK:
        assert current is not None, "a run that ends well leaves a release"
        verdict.status, verdict.release = "unchanged", str(current.path)
        verdict.sentence = (
            f"Nothing changed since run {previous.run_id}: images, configuration and code are the "
            f"same, and release {previous.version} stands."
        )
    else:
        verdict.status, verdict.sentence = previous.status, previous.sentence


def _keep_files(source: Path, directory: Path) -> None:
    """Copies what a person wants to see of a step (or of the run before) into the run."""
    for name in (*KEPT, SAMPLES, SAMPLES_DARK, MISTAKES):
        with contextlib.suppress(OSError), atomic.replacing(directory / name) as temporary:
            shutil.copyfile(source / name, temporary)


def _fingerprint(config: RunConfig, source: str, schema: str) -> str:
    """SHA-256 of the images' and the schema's content, the configuration (but for where it writes
    and what a search does) and the code."""
    code: dict[str, str | dict[str, str]] = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    lock = ROOT / "requirements.txt"
    code["requirements.txt"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    code["own network"] = custom_hashes(config.model.architecture)
    settings = config.model_dump(mode="json", exclude={"root", "beam", *BESIDE})
    everything = json.dumps([source, schema, settings, code], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()


def _run_id() -> str:
    """UTC time to the microsecond: sorts by age, and the lock keeps it unique."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")
