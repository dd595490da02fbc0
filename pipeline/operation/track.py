"""Records a finished run in MLflow and as OpenLineage events, where that is configured. It never
changes how the run ended.

Each does its work in a process of its own: their libraries take seconds to import, retry for
minutes, and start threads; so it can be ended in time.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.configuration.tracking import TrackingConfig
from pipeline.operation.notify import bounded

_LAST = 300
"""Characters of what a failing one said."""


def track(config: TrackingConfig, directory: Path) -> Iterator[str]:
    """Records the run in `directory`. Yields a sentence for each that failed, is not installed or
    took longer than `config.seconds`."""
    for key, address, place, library, package, module in (
        ("mlflow", config.mlflow, config.experiment, "mlflow", "mlflow-skinny", "mlflow_run"),
        (
            *("openlineage", config.openlineage, config.namespace),
            *("openlineage", "openlineage-python", "lineage_events"),
        ),
    ):
        if address is None:
            continue
        if importlib.util.find_spec(library) is None:
            yield (
                f"tracking.{key} was left out: {package} is not installed: run "
                f"`{sys.executable} -m pip install {package}`."
            )
            continue
        words = [sys.executable, "-m", f"{__package__}.{module}", str(directory), address, place]
        failure = _failure(words, directory, config.seconds)
        if failure:
            yield f"tracking.{key} failed: {failure}"


def _failure(words: list[str], directory: Path, seconds: float) -> str:
    """What went wrong, or an empty text."""
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true"}  # it would report its use to its makers
    code, output = bounded(words, directory, seconds, environment)
    if code is None:
        return f"it took longer than {seconds:g} s (tracking.seconds) and was ended"
    said = output.strip().splitlines()
    return "" if code == 0 else said[-1][-_LAST:] if said else f"exit status {code}"


def child(record: Callable[[Path, str, str], object], words: list[str]) -> None:
    """The whole of such a process; what goes wrong is its last line."""
    directory, address, place = words
    try:
        record(Path(directory), address, place)
    except Exception as error:  # noqa: BLE001 - the parent tells of it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(reason[:_LAST], file=sys.stderr, flush=True)
        os._exit(1)  # without waiting for what the libraries wait for at exit
