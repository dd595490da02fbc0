"""A finished run as OpenLineage events, whose client is an extra: `python -m
pipeline.operation.lineage_events`, by track.py. The specification: https://openlineage.io/spec."""

import importlib.metadata
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from pipeline.operation.finished_run import FinishedRun, finished_run

PRODUCER = "urn:darkroom"
"""A URI that the specification asks for: who made the event."""


def emit(directory: Path, address: str, namespace: str) -> None:
    """Sends the START of the run in `directory`, and its COMPLETE, FAIL or ABORT, to a server or
    appends them to a file, a line each.

    Raises what OpenLineage's client raises, and OSError.
    """
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    transport: Any
    if address.startswith("file:"):
        path = address.removeprefix("file:")
        if path.startswith("//"):  # file:///PATH
            path = path[2:]
        transport = FileTransport(FileConfig(log_file_path=path, append=True))
    else:
        key = os.environ.get("OPENLINEAGE_API_KEY")
        auth = {"auth": {"type": "api_key", "apiKey": key}} if key else {}
        transport = HttpTransport(HttpConfig.from_dict({"url": address} | auth))
    client = OpenLineageClient(transport=transport)
    for event in events(finished_run(directory), namespace):
        client.emit(event)


def events(run: FinishedRun, namespace: str) -> list[Any]:
    """Both events of the run: the images are its input, a release that it made its output."""
    from openlineage.client import event_v2, facet_v2

    event_v2.set_producer(PRODUCER)
    facet_v2.set_producer(PRODUCER)
    facets: dict[str, Any] = {
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            version=importlib.metadata.version("tfx"), name="TFX"
        )
    }
    ended = dict(facets)
    if run.outcome != "complete":
        ended["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            message=run.verdict["sentence"], programmingLanguage="PYTHON"
        )
    job = event_v2.Job(
        namespace,
        run.verdict["name"],
        {
            "jobType": facet_v2.job_type_job.JobTypeJobFacet(
                processingType="BATCH", integration="DARKROOM", jobType="DAG"
            )
        },
    )
    # The same run is the same in every event that is sent of it.
    name = f"{run.directory.resolve()}/{run.verdict['run_id']}"
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    end = {"complete": "COMPLETE", "failed": "FAIL", "aborted": "ABORT"}[run.outcome]
    return [
        event_v2.RunEvent(
            eventType=event_v2.RunState[state],
            eventTime=moment.isoformat(),
            run=event_v2.Run(identity, of_run),
            job=job,
            inputs=_inputs(run),
            outputs=_outputs(run) if state == "COMPLETE" else [],
        )
        for state, moment, of_run in (
            ("START", run.started, facets),
            (end, run.ended, ended),
        )
    ]


def _inputs(run: FinishedRun) -> list[Any]:
    """The images, with the fingerprint of their content as the version; none where the run ended
    before it looked at any."""
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import (
        data_quality_metrics_input_dataset,
        dataset_version_dataset,
    )

    fingerprint, data = run.verdict.get("source_fingerprint"), run.verdict["data"]
    if not fingerprint:
        return []
    kind, _, place = run.settings["data.source"].partition(":")
    local = kind in ("folder", "tar", "zip")
    name = str(Path(place).expanduser().resolve()) if local else place or kind
    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=fingerprint)
    counted = {}
    if data.get("read") is not None:
        counted["dataQualityMetrics"] = (
            data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
                columnMetrics={}, rowCount=data["read"]
            )
        )
    images = event_v2.InputDataset("file" if local else kind, name, counted)
    images.facets = {"version": version}
    return [images]


def _outputs(run: FinishedRun) -> list[Any]:
    """The release, named by its model's directory; none where it is an earlier run's."""
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        output_statistics_output_dataset,
    )

    if run.verdict["status"] != "released" or not run.verdict["release"]:
        return []
    release = Path(run.verdict["release"])
    sizes = [file.stat().st_size for file in release.rglob("*") if file.is_file()]
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        size=sum(sizes), fileCount=len(sizes)
    )
    made = event_v2.OutputDataset("file", str(release.parent), {"outputStatistics": statistics})
    version = dataset_version_dataset.DatasetVersionDatasetFacet(str(run.verdict["version"]))
    made.facets = {"version": version}
    return [made]


if __name__ == "__main__":
    from pipeline.operation.track import child

    child(emit, sys.argv[1:])
