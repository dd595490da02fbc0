"""Data gate step: the accounting's checks and TFDV's, in one verdict.

It stops the run by raising DataRefused; nothing that feeds training takes its output as input, so
that it may depend on the current release.
"""

import json
import shutil
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.base.refusal import DataRefused
from components.data import image_index
from components.data.accounting import Finding, append_findings, with_findings
from components.data.artifacts_tfx import IngestReport
from components.data.image_changes import Changes, changes
from components.data.image_index import Row
from components.gates import anomalies_tfx as tfdv
from components.gates import relabelled
from components.gates.artifacts_tfx import DataVerdict
from components.gates.data_gate import DataGateConfig, check_accounting
from components.gates.result import GateResult
from components.gates.since_release import since_release
from components.sources.source import SPLITS


@component
def DataGate(
    report: InputArtifact[IngestReport],
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    verdict: OutputArtifact[DataVerdict],
    data_gate: Parameter[str],
    schema: Parameter[str],
    accept_classes: Parameter[int],
    release: Parameter[str],
    code: Parameter[str],
) -> None:
    """Writes `verdict.json`, the account with what the release adds to it, and `data/` for the next
    release: the schema, each split's statistics and the index of the images.

    `data_gate` is a DataGateConfig as JSON, `schema` the text of a curated schema or empty,
    `release` the directory of the current release or empty. Raises DataRefused.
    """
    del code
    config = DataGateConfig.model_validate_json(data_gate)
    accounting = json.loads(Path(report.uri, "accounting.json").read_text())
    labels = json.loads(Path(report.uri, "labels.json").read_text())
    index = image_index.read(Path(report.uri, image_index.INDEX))
    files = {
        split: Path(artifact_utils.get_split_uri([statistics], split), "FeatureStats.pb")
        for split in SPLITS
    }
    found = {split: tfdv.read_statistics(path) for split, path in files.items()}
    results = check_accounting(accounting, config) + _within(anomalies)
    if schema:
        curated = tfdv.parse_schema(schema)
        results += [
            tfdv.check_schema(split, found[split], curated, "the given schema (data.schema)")
            for split in SPLITS
        ]
    findings: list[Finding] = []
    if release:
        against = _against(Path(release), found, labels, config, bool(accept_classes))
        changed = _changed(Path(release), index)
        accounting["since_release"] = since_release(changed, against, int(Path(release).name))
        results += against
        if changed is not None:
            name, other = f"release {Path(release).name}", relabelled.relabelled(changed, labels)
            results.append(relabelled.check(changed, other, config, name))
            findings = relabelled.findings(changed, other, name)
    accounting = with_findings(accounting, findings)
    listed = Path(shutil.copy(Path(report.uri, "findings.csv"), verdict.uri))
    append_findings(listed, findings)
    gates = tuple(result.to_json() for result in results)
    failed = [result.sentence() for result in results if not result.passed]
    if failed:
        error = DataRefused("; ".join(failed) + ".", gates, accounting)
        error.findings = listed.read_bytes()  # TFX removes what a failed step has written
        raise error
    Path(verdict.uri, "verdict.json").write_text(json.dumps(gates, indent=1))
    Path(verdict.uri, "accounting.json").write_text(json.dumps(accounting, indent=1))
    _keep(Path(verdict.uri, "data"), tfdv.infer_schema(found["train"], labels), files, index)


def _within(anomalies: standard_artifacts.ExampleAnomalies) -> list[GateResult]:
    """What ExampleValidator found: val and test against the schema of train."""
    results = []
    for split in SPLITS:
        found = anomalies_pb2.Anomalies()
        path = Path(artifact_utils.get_split_uri([anomalies], split), "SchemaDiff.pb")
        found.ParseFromString(path.read_bytes())
        for name in tfdv.FREE:
            if name in found.anomaly_info:
                del found.anomaly_info[name]
        results.append(tfdv.describe(f"anomalies_{split}", found, "the schema of train"))
    return results


def _against(
    release: Path, found: dict, labels: list[str], config: DataGateConfig, accept_classes: bool
) -> list[GateResult]:
    """Against the schema and statistics that the release was made with, where it has them."""
    path, name = release / "data" / tfdv.SCHEMA, f"release {release.name}"
    if not path.is_file():
        return []
    schema = tfdv.parse_schema(path.read_text())
    accept_classes = accept_classes and tfdv.classes(schema) != set(labels)
    if accept_classes:
        tfdv.restrict_classes(schema, labels)
    results = []
    for split in SPLITS:
        before = tfdv.read_statistics(release / "data" / tfdv.statistics_file(split))
        results.append(tfdv.check_schema(split, found[split], schema, f"the schema of {name}"))
        results += tfdv.check_drift(split, found[split], before, config, name, accept_classes)
    return results


def _changed(release: Path, index: dict[str, list[Row]]) -> Changes | None:
    """The images one by one against those of the release; older ones have no index of theirs."""
    path = release / "data" / image_index.RELEASED
    return changes(image_index.read(path), index) if path.is_file() else None


def _keep(
    directory: Path,
    schema: schema_pb2.Schema,
    statistics: dict[str, Path],
    index: dict[str, list[Row]],
) -> None:
    directory.mkdir()
    image_index.write_released(directory / image_index.RELEASED, index)
    (directory / tfdv.SCHEMA).write_text(str(schema))
    for split, path in statistics.items():
        shutil.copyfile(path, directory / tfdv.statistics_file(split))
