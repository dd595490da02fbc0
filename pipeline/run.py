"""One run from command to verdict: everything around the DAG, none of it needing TFX.

lock -> look at the source -> unchanged? -> DAG -> verdict.json, report.html, table
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import shutil
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from components.sources import DataRefused, open_source
from pipeline import presets
from pipeline.code import PACKAGES, ROOT
from pipeline.config import ConfigError, RunConfig, override, parse_overrides, root_path
from pipeline.steps import Outputs
from pipeline.terminal import Terminal
from pipeline.verdict import (
    EXIT_DATA,
    EXIT_OK,
    Locked,
    Verdict,
    last_verdict,
    point_latest,
)
from serving.store import Store, StoreError


def run(preset: str, arguments: list[str]) -> int:
    """Runs the line and returns the exit code; what a person reads goes to standard output.

    Raises ConfigError (exit code 2) before anything is written, and Locked (75).
    """
    overrides = parse_overrides(arguments)
    try:
        config = override(presets.load(preset, overrides), overrides)
        source = open_source(config.data)
    except DataRefused as error:
        # The folder could not even be looked at: there is no configuration to open a run with.
        return _refuse_early(preset, overrides, error)
    root = _writable(root_path(config))
    with _lock(root):
        started = time.monotonic()
        verdict = Verdict(run_id=_run_id(), preset=preset, name=config.name)
        images = source.fingerprint()
        verdict.fingerprint = _fingerprint(config, images)
        previous = last_verdict(root / "runs", config.name)
        directory = _open_run(root, verdict.run_id)
        with Terminal(directory / "log.txt") as terminal:
            terminal.heading(config, verdict.run_id)
            if previous and _still_holds(previous, verdict.fingerprint, root):
                _repeat(previous, verdict)
                _keep_preview(directory.parent / previous.run_id, directory)
            else:
                try:
                    _run_line(config, images, verdict, root, terminal)
                except (Exception, KeyboardInterrupt) as error:
                    # A run never ends without a verdict.
                    traceback.print_exc()
                    verdict.sentence = f"{type(error).__name__}: {error}"
            verdict.seconds = time.monotonic() - started
            return _close(verdict, directory, terminal)


def _run_line(
    config: RunConfig, images: str, verdict: Verdict, root: Path, terminal: Terminal
) -> None:
    """Builds and runs the DAG, and fills `verdict` from what its steps left.

    `images` is the source's fingerprint.
    """
    terminal.say("starting TFX")
    from pipeline import dag, runner
    from pipeline.collect import collect

    current = Store(root / "serving").current(config.name)
    pipeline = dag.build(
        config,
        source=images,
        run_id=verdict.run_id,
        baseline_version=current.version if current else 0,
    )
    steps, error = runner.execute(pipeline, terminal.step_started, terminal.step_finished)
    collect(verdict, config.export, steps, error)
    if plan := Outputs(steps).directory("augment", "plan"):
        _keep_preview(plan, root / "runs" / verdict.run_id)


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


def _still_holds(previous: Verdict, fingerprint: str, root: Path) -> bool:
    """Whether the last verdict answers this command too: the same source, configuration and
    code, an end that was no accident, and the release it speaks of still whole."""
    if previous.fingerprint != fingerprint or previous.status == "failed":
        return False
    if previous.exit_code != EXIT_OK:
        return True
    with contextlib.suppress(StoreError):
        for release in Store(root / "serving").releases(previous.name):
            if release.version == previous.version:
                release.verify()
                return True
    return False


def _repeat(previous: Verdict, verdict: Verdict) -> None:
    for field in ("version", "champion", "release", "models", "artifacts", "gates", "data"):
        setattr(verdict, field, getattr(previous, field))
    verdict.exit_code = previous.exit_code
    verdict.steps = [
        step | {"seconds": 0.0, "cached": True, "why": "nothing changed"} for step in previous.steps
    ]
    if previous.exit_code == EXIT_OK:
        verdict.status = "unchanged"
        verdict.sentence = (
            f"Nothing changed since run {previous.run_id}: images, configuration and code are the "
            f"same, and release {previous.version} stands."
        )
    else:
        verdict.status, verdict.sentence = previous.status, previous.sentence


def _keep_preview(source: Path, directory: Path) -> None:
    """Copies the augmentation's contact sheet beside the report."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source / "preview.png", directory / "preview.png")


def _refuse_early(preset: str, overrides: dict[str, str], error: DataRefused) -> int:
    root = _writable(Path(overrides.get("root", "out")).expanduser().resolve())
    with _lock(root):
        verdict = Verdict(
            run_id=_run_id(),
            preset=preset,
            name=preset,
            status="refused",
            exit_code=EXIT_DATA,
            sentence=str(error),
        )
        directory = _open_run(root, verdict.run_id)
        with Terminal(directory / "log.txt") as terminal:
            return _close(verdict, directory, terminal)


def _fingerprint(config: RunConfig, source: str) -> str:
    """SHA-256 of the images' content, the configuration (but for where it writes) and the code."""
    code = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    lock = ROOT / "requirements.txt"
    code["requirements.txt"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    settings = config.model_dump(mode="json", exclude={"root", "beam"})
    everything = json.dumps([source, settings, code], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()


def _run_id() -> str:
    """UTC time to the microsecond: sorts by age, and the lock keeps it unique."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")


def _open_run(root: Path, run_id: str) -> Path:
    directory = root / "runs" / run_id
    directory.mkdir(parents=True)
    return directory


def _writable(root: Path) -> Path:
    probe = root / f".probe-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"Output root {str(root)!r} is not writable ({error.strerror}): "
            "pass root=PATH with a folder you may write to."
        ) from error
    return root


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    with open(root / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked(
                f"Another run is using {str(root)!r}: wait for it, or pass another root=PATH."
            ) from error
        yield
