"""One run from command to verdict: everything around the DAG, none of it needing TFX.

lock -> look at the source -> unchanged? -> DAG -> verdict.json, report.html, table
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import shutil
import time
import traceback
from pathlib import Path

from components import atomic
from components.checkpoint import Checkpoints
from components.gates import GateResult
from components.ingest import frozen_order
from components.network import FRAMEWORKS
from components.sources import DataRefused, open_source
from pipeline import presets
from pipeline.code import PACKAGES, ROOT, own_hashes
from pipeline.collect import collect, collect_refusal
from pipeline.config import ConfigError, RunConfig, checkpoints_path, root_path
from pipeline.fitting import check_classes
from pipeline.output_root import check_outside, locked, sigterm_as_ctrl_c, writable
from pipeline.overrides import as_arguments, parse_overrides
from pipeline.steps import Outputs, Step
from pipeline.terminal import Terminal
from pipeline.verdict import (
    CONFIGURATION,
    EXIT_INTERNAL,
    EXIT_OK,
    Verdict,
    last_verdict,
    point_latest,
)
from serving.store import Release, Store, StoreError

KEPT = {"preview.png": ("augment", "plan"), "findings.csv": ("ingest", "report")}
"""Files of a step's output (step, output) that are copied into the run."""
SAMPLES = "samples.png"

_INTERRUPTED = "Interrupted: the same command goes on from the last finished step."


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
        root = root_path(config)
    except DataRefused as error:
        # The folder could not even be looked at: there is no configuration to open a run with.
        refusal, root = error, Path(overrides.get("root") or "out").expanduser().resolve()
    schema = ""
    check_outside(root, config.data.source if refusal is None else preset)
    if refusal is None:
        schema = schema_text(config.data.schema_path)
    with locked(writable(root)):
        started = time.monotonic()
        name = overrides.get("name", preset)
        verdict = Verdict(run_id=_run_id(), preset=preset, name=name)
        directory = root / "runs" / verdict.run_id
        directory.mkdir(parents=True)
        with Terminal(directory / "log.txt") as terminal, sigterm_as_ctrl_c():
            try:
                if refusal is not None:
                    raise refusal
                _decide(config, source, schema, verdict, root, terminal)
            except DataRefused as error:
                collect_refusal(verdict, error)
            except KeyboardInterrupt:
                verdict.sentence = _INTERRUPTED
            except Exception as error:
                # A run never ends without a verdict.
                traceback.print_exc()
                verdict.status, verdict.exit_code = "failed", EXIT_INTERNAL
                verdict.sentence = " ".join(f"{type(error).__name__}: {error}".split())
            verdict.seconds = time.monotonic() - started
            return _close(verdict, directory, terminal)


def _decide(
    config: RunConfig, source, schema: str, verdict: Verdict, root: Path, terminal: Terminal
) -> None:
    """Repeats the last verdict where nothing changed, otherwise runs the line."""
    verdict.name = config.name
    terminal.heading(config, verdict.run_id)
    lines = [f"# python -m pipeline run {verdict.preset} @FILE", *as_arguments(config)]
    atomic.write(root / "runs" / verdict.run_id / CONFIGURATION, "\n".join(lines) + "\n")
    current = Store(root / "serving").current(config.name)
    images = source.fingerprint()
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
        _run_line(config, plan, verdict, root, terminal)
        current = Store(root / "serving").current(config.name)
    verdict.current = current.version if current else None


def _run_line(
    config: RunConfig, plan: dict, verdict: Verdict, root: Path, terminal: Terminal
) -> None:
    """Builds the DAG (`plan` holds what `dag.build` asks for), runs it, and fills `verdict` from
    what its steps left."""
    terminal.say("starting TFX")
    from pipeline import dag, runner

    pipeline = dag.build(config, run_id=verdict.run_id, **plan)

    def finished(step: Step) -> None:
        terminal.step_finished(step)
        _drop_checkpoints(checkpoints_path(config), step)

    steps, error = runner.execute(pipeline, terminal.step_started, finished)
    collect(verdict, config.export, steps, error)
    if findings := getattr(error, "findings", ""):
        (root / "runs" / verdict.run_id / "findings.csv").write_text(findings, encoding="utf-8")
    for step, output in KEPT.values():
        if directory := Outputs(steps).directory(step, output):
            _keep_files(directory, root / "runs" / verdict.run_id)
    _draw_samples(Outputs(steps), root / "runs" / verdict.run_id)


def _drop_checkpoints(directory: Path, step: Step) -> None:
    """A training's, once its model is published: what is killed before that goes on from them.

    Where the model is an earlier run's they are another training's, which may still go on.
    """
    for framework in FRAMEWORKS:
        if step.name == f"train_{framework}" and step.outputs and not step.cached:
            with contextlib.suppress(OSError):
                Checkpoints(directory / framework, identity="").clear()


def _draw_samples(outputs: Outputs, directory: Path) -> None:
    """`samples.png` of what was packed and predicted, whether a gate let it pass or not."""
    from components.arrays import ImageArrays
    from components.samples import write_samples

    arrays = outputs.directory("pack", "arrays")
    found = {name: outputs.directory(f"evaluate_{name}", "predictions") for name in FRAMEWORKS}
    if arrays is None:
        return
    try:
        answers = {name: path / "test.npz" for name, path in found.items() if path}
        write_samples(ImageArrays(arrays), answers, directory / SAMPLES)
    except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
        traceback.print_exc()


def classes(config: RunConfig, source, current: Release | None) -> tuple[str, ...]:
    """The classes in the order of the current release. Raises DataRefused when they are not the
    same and were not accepted: whoever calls the released model would read its answers wrongly."""
    if current is None:
        return source.labels
    released = current.contract()["labels"]
    added = sorted(set(source.labels) - set(released))
    missing = sorted(set(released) - set(source.labels))
    if (added or missing) and not config.data.accept_classes:
        change = f"new: {', '.join(added) or 'none'}; missing: {', '.join(missing) or 'none'}"
        expected = f"those of release {current.version}"
        gate = GateResult("classes", expected, change, passed=False)
        raise DataRefused(
            f"The classes are not those of release {current.version} of {config.name} ({change}): "
            "pass data.accept_classes=true to release them, or name=OTHER for another model.",
            gates=(dataclasses.asdict(gate),),
        )
    return frozen_order(source.labels, released)


def schema_text(path: str | None) -> str:
    """The text of a curated schema, "" without one. Raises ConfigError when it is not one."""
    if path is None:
        return ""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        text = Path(path).expanduser().read_text()
        if not text_format.Parse(text, schema_pb2.Schema()).feature:
            raise ValueError("it names no feature")
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ConfigError(
            f"Bad value for data.schema: {path!r} cannot be read ({error}): expected a TFDV schema "
            "in text format, such as data/schema.pbtxt of a release."
        ) from error
    return text


def _close(verdict: Verdict, directory: Path, terminal: Terminal) -> int:
    """Writes verdict, report and link, prints the table, returns the exit code."""
    from pipeline import report

    verdict.write(directory)
    point_latest(directory.parent, verdict.run_id)
    try:
        report.write(verdict, directory)
    except Exception as error:  # noqa: BLE001 - the verdict stands whatever its page looks like
        traceback.print_exc()
        terminal.say(f"the report could not be written: {error}")
    terminal.summary(verdict, directory)
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
    for field in ("version", "champion", "models", "artifacts", "gates", "data"):
        setattr(verdict, field, getattr(previous, field))
    verdict.exit_code = previous.exit_code
    verdict.steps = [
        step | {"seconds": 0.0, "cached": True, "why": "nothing changed"} for step in previous.steps
    ]
    if previous.exit_code == EXIT_OK:
        verdict.status, verdict.release = "unchanged", str(current.path)
        verdict.sentence = (
            f"Nothing changed since run {previous.run_id}: images, configuration and code are the "
            f"same, and release {previous.version} stands."
        )
    else:
        verdict.status, verdict.sentence = previous.status, previous.sentence


def _keep_files(source: Path, directory: Path) -> None:
    """Copies what a person wants to see of a step (or of the run before) into the run."""
    for name in (*KEPT, SAMPLES):
        with contextlib.suppress(OSError):
            shutil.copyfile(source / name, directory / name)


def _fingerprint(config: RunConfig, source: str, schema: str) -> str:
    """SHA-256 of the images' and the schema's content, the configuration (but for where it writes
    and what a search does) and the code."""
    code = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    lock = ROOT / "requirements.txt"
    code["requirements.txt"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    code["own network"] = own_hashes(config.model.architecture)
    settings = config.model_dump(mode="json", exclude={"root", "beam", "tune"})
    everything = json.dumps([source, schema, settings, code], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()


def _run_id() -> str:
    """UTC time to the microsecond: sorts by age, and the lock keeps it unique."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")
