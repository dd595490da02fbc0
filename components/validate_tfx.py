"""Data gate step: the accounting's checks and ExampleValidator's anomalies, in one verdict.

It stops the run by raising DataRefused; nothing that feeds training takes its output as input.
"""

import dataclasses
import json
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts_tfx import DataVerdict, IngestReport
from components.gates import GateResult
from components.sources import SPLITS, DataRefused
from components.validate import check_accounting
from pipeline.config import DataGateConfig


def check_anomalies(anomalies: standard_artifacts.ExampleAnomalies) -> list[GateResult]:
    """One gate per split: TFDV found nothing, or its own words."""
    results = []
    for split in SPLITS:
        found = anomalies_pb2.Anomalies()
        path = Path(artifact_utils.get_split_uri([anomalies], split), "SchemaDiff.pb")
        found.ParseFromString(path.read_bytes())
        words = "; ".join(
            f"{name}: {info.description or info.short_description}"
            for name, info in sorted(found.anomaly_info.items())
        )
        results.append(
            GateResult(f"anomalies_{split}", "no anomalies", words or "none", passed=not words)
        )
    return results


@component
def DataGate(
    report: InputArtifact[IngestReport],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    verdict: OutputArtifact[DataVerdict],
    data_gate: Parameter[str],
    code: Parameter[str],
) -> None:
    """`data_gate` is a DataGateConfig as JSON."""
    del code
    accounting = json.loads(Path(report.uri, "accounting.json").read_text())
    results = check_accounting(accounting, DataGateConfig.model_validate_json(data_gate))
    results += check_anomalies(anomalies)
    gates = tuple(dataclasses.asdict(result) for result in results)
    failed = [result.sentence() for result in results if not result.passed]
    if failed:
        raise DataRefused("; ".join(failed) + ".", gates, accounting)
    Path(verdict.uri, "verdict.json").write_text(json.dumps(gates, indent=1))
