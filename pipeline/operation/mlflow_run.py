"""A finished run as a run in MLflow, which is an extra: `python -m pipeline.operation.mlflow_run`,
by track.py."""

import sys
from pathlib import Path
from typing import Any

from export.release import provenance
from pipeline.operation.finished_run import FinishedRun, finished_run
from pipeline.outcome.verdict import CONFIGURATION

_STATUS = {"complete": "FINISHED", "failed": "FAILED", "aborted": "KILLED"}
_FILES = ("verdict.json", "report.html", CONFIGURATION)
_LONGEST = 5000
"""Characters of a value; MLflow takes 6,000 of a parameter's and 5,000 of a tag's."""
_AT_ONCE = 100
"""MLflow's limit for parameters in one request; for metrics it is 1,000."""


def record(directory: Path, uri: str, experiment: str) -> str:
    """Records the run in `directory` as one of `experiment` and returns MLflow's id of it: the
    configuration as parameters, the models' numbers and epochs as metrics, the verdict as tags.

    Raises what MLflow raises, and OSError.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    run, client = finished_run(directory), MlflowClient(tracking_uri=uri)
    began, ended = (int(moment.timestamp() * 1000) for moment in (run.started, run.ended))
    name = f"{run.verdict['name']} {run.verdict['run_id']}"
    known = client.get_experiment_by_name(experiment)
    place = known.experiment_id if known else client.create_experiment(experiment, _artifacts(uri))
    made = client.create_run(place, start_time=began, tags=tags(run), run_name=name).info.run_id
    parameters = [Param(key, value[:_LONGEST]) for key, value in run.settings.items()]
    measured = [Metric(key, value, ended, step) for key, value, step in metrics(run)]
    for start in range(0, max(len(parameters), len(measured)), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        client.log_batch(made, metrics=measured[part], params=parameters[part])
    for file in _FILES:
        if (directory / file).is_file():
            client.log_artifact(made, str(directory / file))
    client.set_terminated(made, _STATUS[run.outcome], ended)
    return made


def _artifacts(uri: str) -> str | None:
    """Where files go: beside a database of one's own, where MLflow would take the directory that
    the run was started in. A server knows its place."""
    if not uri.startswith("sqlite:///"):
        return None
    database = Path(uri.removeprefix("sqlite:///")).resolve()
    return (database.parent / "mlartifacts").as_uri()


def tags(run: FinishedRun) -> dict[str, str]:
    """What a run is found by; the sentence is MLflow's description of it."""
    told: dict[str, Any] = {
        key: run.verdict.get(key)
        for key in (
            *("run_id", "preset", "name", "status", "exit_code", "sentence"),
            *("version", "champion", "fingerprint"),
        )
    }
    told["mlflow.note.content"] = told["sentence"]
    told["mlflow.source.name"] = "darkroom"
    told["mlflow.source.git.commit"] = provenance.recorded()["git_commit"]
    return {key: str(value)[:_LONGEST] for key, value in told.items() if value is not None}


def metrics(run: FinishedRun) -> list[tuple[str, float, int]]:
    """(name, value, epoch) of all that was measured: `keras/accuracy` on the test split at epoch 0,
    `keras/epoch/val_accuracy` from 1, `data/good`, `seconds/train_keras`, `seconds`."""
    found = [("seconds", run.verdict["seconds"], 0)]
    for framework, model in run.verdict["models"].items():
        found += _numbers(framework, model, 0)
        for row in model.get("history", ()):
            found += _numbers(f"{framework}/epoch", row, row["epoch"])
    found += _numbers("data", run.verdict["data"], 0)
    for step in run.verdict["steps"]:
        found.append((f"seconds/{step['name']}", step["seconds"], 0))
    return found


def _numbers(prefix: str, values: dict, epoch: int) -> list[tuple[str, float, int]]:
    return [
        (f"{prefix}/{key}", float(value), epoch)
        for key, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]


if __name__ == "__main__":
    from pipeline.operation.track import child

    child(record, sys.argv[1:])
