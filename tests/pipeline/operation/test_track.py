"""Runs recorded elsewhere: by the real libraries into files and servers, read back as others would;
without the libraries, a sentence and nothing else."""

import dataclasses
import importlib.util
import json

import pytest

from components.base.refusal import ConfigError
from pipeline.configuration import presets
from pipeline.configuration.overrides import as_arguments, override
from pipeline.configuration.tracking import TrackingConfig
from pipeline.operation.tell import Told, tell
from pipeline.outcome.verdict import Verdict
from tests.helpers.command_line import darkroom
from tests.helpers.finished_runs import RUN, finished
from tests.helpers.posts import posts

EXTRAS = {"mlflow": "mlflow-skinny", "openlineage": "openlineage-python"}
without = {
    name: pytest.mark.skipif(
        importlib.util.find_spec(name) is None, reason=f"{package} is not installed (an extra)"
    )
    for name, package in EXTRAS.items()
}


def _rewrite(directory, **changes):
    verdict = Verdict(**json.loads((directory / "verdict.json").read_text()))
    dataclasses.replace(verdict, **changes).write(directory)


@pytest.fixture
def directory(tmp_path):
    """A released run with two epochs of history, and its release's two files."""
    directory = finished(tmp_path, {"torch": 0.99})
    (tmp_path / "serving/digits/3").mkdir(parents=True)
    (tmp_path / "serving/digits/3/model.onnx").write_bytes(b"12345")
    (tmp_path / "serving/digits/3/labels.txt").write_bytes(b"0\n1\n")
    verdict = json.loads((directory / "verdict.json").read_text())
    verdict["models"]["torch"]["history"] = [
        {"epoch": 1, "loss": 2.0, "val_accuracy": 0.5},
        {"epoch": 2, "loss": 1.0, "val_accuracy": 0.9},
    ]
    _rewrite(
        directory, models=verdict["models"], version=3, champion="torch",
        release=str(tmp_path / "serving/digits/3"), source_fingerprint="ab" * 32,
        data={"read": 1797, "good": 1790}, steps=[{"name": "ingest", "seconds": 2.5}],
    )  # fmt: skip
    return directory


def _told(**tracking) -> Told:
    return Told(tracking=TrackingConfig(**tracking))


@without["mlflow"]
def test_a_run_in_mlflow_has_its_configuration_numbers_verdict_and_files(directory, tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert list(tell(_told(mlflow=uri, experiment="nightly"), directory)) == []
    client = mlflow.MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name("nightly")
    (run,) = client.search_runs([place.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == f"digits {RUN}"
    assert run.info.end_time - run.info.start_time == 83_200
    settings = dict(line.partition("=")[::2] for line in as_arguments(presets.digits()))
    assert set(run.data.params) == set(settings)
    assert run.data.params["train.epochs"] == settings["train.epochs"]
    measured = run.data.metrics
    assert measured["torch/accuracy"] == 0.99 and measured["torch/loss"] == 0.25
    assert measured["data/good"] == 1790 and measured["seconds/ingest"] == 2.5
    history = client.get_metric_history(run.info.run_id, "torch/epoch/val_accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.9)]
    verdict = json.loads((directory / "verdict.json").read_text())
    tags = run.data.tags
    assert (tags["status"], tags["version"], tags["champion"]) == ("released", "3", "torch")
    assert tags["sentence"] == tags["mlflow.note.content"] == verdict["sentence"]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"verdict.json", "report.html", "config.args"}
    assert run.info.artifact_uri.startswith(f"file://{tmp_path}")  # not where it was started
    _rewrite(directory, exit_code=3, status="refused")
    assert list(tell(_told(mlflow=uri, experiment="nightly"), directory)) == []
    ended = [run.info.status for run in client.search_runs([place.experiment_id])]
    assert sorted(ended) == ["FAILED", "FINISHED"]


@without["openlineage"]
def test_events_name_the_images_and_the_release_by_their_versions(directory, tmp_path):
    file = tmp_path / "events.jsonl"
    told = _told(openlineage=f"file:{file}", namespace="factory")
    assert list(tell(told, directory)) == []
    start, end = map(json.loads, file.read_text().splitlines())
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["eventTime"] == "2026-01-01T10:10:10.000001+00:00"
    assert end["eventTime"] == "2026-01-01T10:11:33.200001+00:00"
    assert (end["job"]["namespace"], end["job"]["name"]) == ("factory", "digits")
    (images,), (release,) = end["inputs"], end["outputs"]
    assert (images["namespace"], images["name"]) == ("digits", "digits")
    assert images["facets"]["version"]["datasetVersion"] == "ab" * 32
    assert images["inputFacets"]["dataQualityMetrics"]["rowCount"] == 1797
    assert (release["namespace"], release["name"]) == ("file", f"{tmp_path}/serving/digits")
    assert release["facets"]["version"]["datasetVersion"] == "3"
    assert release["outputFacets"]["outputStatistics"]["fileCount"] == 2
    assert release["outputFacets"]["outputStatistics"]["size"] == 9


@without["openlineage"]
def test_a_refused_run_fails_with_its_sentence_and_an_interrupted_one_is_aborted(
    directory, tmp_path
):
    told = _told(openlineage=f"file://{tmp_path}/events.jsonl")
    for code in (3, 130):
        _rewrite(directory, exit_code=code, status="refused", sentence="accuracy 0.1 is below 0.9")
        assert list(tell(told, directory)) == []
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "FAIL", "START", "ABORT"]
    facet = events[1]["run"]["facets"]["errorMessage"]
    assert facet["message"] == "accuracy 0.1 is below 0.9" and not events[1]["outputs"]


@pytest.fixture
def server():
    with posts() as server:
        yield server


@without["openlineage"]
def test_a_server_gets_the_events_with_the_key_of_the_environment(directory, server, monkeypatch):
    posted, url = server
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
    assert list(tell(_told(openlineage=url), directory)) == []
    expected = ("/api/v1/lineage", "Bearer secret")
    assert [(post.path, post.authorization) for post in posted] == [expected] * 2
    assert [json.loads(post.body)["eventType"] for post in posted] == ["START", "COMPLETE"]


@without["openlineage"]
def test_what_fails_or_takes_too_long_is_named_in_one_line(directory, server):
    _, url = server
    (failure,) = tell(_told(openlineage="file:/proc/none/events.jsonl"), directory)
    assert failure.startswith("tracking.openlineage failed: ") and "/proc/none" in failure
    assert "\n" not in failure
    (failure,) = tell(_told(openlineage=f"{url}/slow/", seconds=4), directory)
    assert failure == (
        "tracking.openlineage failed: it took longer than 4 s (tracking.seconds) and was ended"
    )


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) for name in EXTRAS), reason="the extras are installed"
)
def test_without_the_extras_a_run_says_what_to_install_and_ends_as_it_would(tmp_path):
    (tmp_path / "none/a").mkdir(parents=True)
    settings = [
        f"root={tmp_path / 'out'}",
        f"tracking.mlflow=sqlite:///{tmp_path}/mlflow.db",
        f"tracking.openlineage=file:{tmp_path}/events.jsonl",
    ]
    done = darkroom("run", f"folder:{tmp_path / 'none'}", *settings)
    assert done.returncode == 4
    verdict = json.loads((tmp_path / "out/runs/latest/verdict.json").read_text())
    assert verdict["status"] == "refused"
    told = [line for line in done.stdout.splitlines() if "was left out" in line]
    assert len(told) == 2
    for (name, package), line in zip(EXTRAS.items(), told):
        assert f"tracking.{name} was left out: {package} is not installed: run `" in line
    assert {path.name for path in tmp_path.iterdir()} == {"none", "out"}


def test_an_address_must_be_one_and_holds_no_password():
    for address, words in (
        ("mlruns", "begins with one of http, https, sqlite"),
        ("https://me:secret@host", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
    ):
        with pytest.raises(ConfigError, match="tracking.mlflow") as caught:
            override(presets.digits(), {"tracking.mlflow": address})
        assert words in str(caught.value)
