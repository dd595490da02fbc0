"""A run of the whole line in a process of its own, from a cold start, and what its verdict says."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.table import Table

from benchmarks.measure import measure
from components.base.process import ROOT, StepFailed

UNGATED = {"gates.min_accuracy": "0.001", "gates.significance": "1", "gates.min_recall": "0"}
"""Settings with which a model is released whatever little it has learned."""


def read_libraries() -> None:
    """So that no run finds the libraries' files on a cold disk."""
    command = [sys.executable, "-c", "import pipeline.line.dag, torch, onnxruntime, keras"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def run(source: str, settings: dict[str, str], directory: Path) -> dict:
    """A run of `source` with its output root at `directory`/out: what `measured` gives, and
    accuracies, test images, files released, seconds of the steps.

    Raises StepFailed when it released nothing.
    """
    root = directory / "out"
    pairs = [f"{key}={value}" for key, value in (settings | {"root": str(root)}).items()]
    code, found = measured(["pipeline", "run", source, *pairs], directory)
    path = root / "runs" / "latest" / "verdict.json"
    verdict = json.loads(path.read_text()) if path.exists() else {}
    if code or verdict.get("status") != "released":
        reason = verdict.get("sentence") or errors(directory)
        raise StepFailed(f"The line released no model: {reason}")
    models = verdict["models"]
    return found | {
        "accuracy": {framework: model["accuracy"] for framework, model in models.items()},
        "images": min(model["metrics"]["images"] for model in models.values()),
        "files": sum(not artifact["left_out"] for artifact in verdict["artifacts"]),
        "steps": {step["name"]: step["seconds"] for step in verdict["steps"]},
    }


def measured(module: list[str], directory: Path) -> tuple[int, dict]:
    """(exit code, what it took) of `python -m MODULE`; standard error goes into `directory`."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    with (directory / "errors.txt").open("w") as file:
        found = measure([sys.executable, "-m", *module], stderr=file)
    return found.code, {
        "seconds": found.seconds,
        "cpu_seconds": found.cpu_seconds,
        "peak_bytes": found.peak(),
        "load": load,
    }


def errors(directory: Path) -> str:
    """The end of what `measured` left there."""
    return (directory / "errors.txt").read_text()[-3000:]


def step_table(title: str, runs: list[dict]) -> Table:
    """Medians; what is left of the wall time are mostly imports, unless steps overlap."""
    table = Table("step", "seconds", title=title)
    for name in runs[0]["steps"]:
        table.add_row(name, f"{statistics.median(run['steps'][name] for run in runs):.1f}")
    rest = statistics.median(run["seconds"] - sum(run["steps"].values()) for run in runs)
    if rest >= 0:
        table.add_row("imports and all else", f"{rest:.1f}")
    return table
