"""Push step: the champion's verified artifacts into the release store, under one new version."""

import dataclasses
import json
import tempfile
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.artifacts_tfx import Exports, GateVerdict, ImageArrays, IngestReport, Predictions
from components.gates import GateRefused, GateResult, check_parity, choose_champion
from export.bundle import bundle
from pipeline.config import ExportConfig
from serving.store import Store


def _read(uri: str, name: str):
    return json.loads(Path(uri, name).read_text())


def parity_gates(exports: str, config: ExportConfig) -> list[GateResult]:
    """Every artifact's comparison with its source model, as gates."""
    return [
        gate
        for record in _read(exports, "parity.json")
        for gate in check_parity(record, config.max_difference, config.min_agreement)
    ]


@component
def Push(
    exports: InputArtifact[Exports],
    verdict: InputArtifact[GateVerdict],
    arrays: InputArtifact[ImageArrays],
    report: InputArtifact[IngestReport],
    keras_evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    torch_evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    keras_predictions: InputArtifact[Predictions],
    torch_predictions: InputArtifact[Predictions],
    pushed: OutputArtifact[standard_artifacts.PushedModel],
    export: Parameter[str],
    store: Parameter[str],
    name: Parameter[str],
    lineage: Parameter[str],
    run_id: Parameter[str],
    code: Parameter[str],
) -> None:
    """Writes `release.json`: version, path, champion and whether it was already the release.

    `export` is an ExportConfig, `lineage` an object of fingerprints for the manifest, both as
    JSON. Raises GateRefused when an artifact disagrees with its source. A champion that is the
    current release already (same weights, code and contract) is not pushed again.
    """
    del code
    parity = parity_gates(exports.uri, ExportConfig.model_validate_json(export))
    failed = [gate for gate in parity if not gate.passed]
    if failed:
        raise GateRefused(failed)
    exported = {record["model"] for record in _read(exports.uri, "parity.json")}
    evaluations = {"keras": keras_evaluation, "torch": torch_evaluation}
    metrics = {model: _read(evaluations[model].uri, "metrics.json") for model in exported}
    champion = choose_champion(metrics)
    contract = _read(f"{exports.uri}/{champion}", "contract.json")
    releases = Store(store)
    current = releases.current(name)
    unchanged = bool(current) and current.contract()["lineage"] == contract["lineage"]
    if unchanged:
        release = current
    else:
        predictions = {"keras": keras_predictions, "torch": torch_predictions}[champion]
        gates = _read(verdict.uri, "verdict.json") + [dataclasses.asdict(gate) for gate in parity]
        with tempfile.TemporaryDirectory(dir=pushed.uri) as staging:
            directory = Path(staging, "release")
            bundle(
                Path(exports.uri, champion),
                directory,
                model=name,
                run_id=run_id,
                arrays=arrays.uri,
                predictions=str(Path(predictions.uri, "test.npz")),
                metrics=metrics[champion],
                gates=[gate for gate in gates if gate["model"] == champion],
                parity=[r for r in _read(exports.uri, "parity.json") if r["model"] == champion],
                extra={"data": _read(report.uri, "accounting.json"), **json.loads(lineage)},
            )
            release = releases.publish(name, directory)
    pushed.set_string_custom_property("pushed_destination", str(release.path))
    pushed.set_string_custom_property("pushed_version", str(release.version))
    Path(pushed.uri, "release.json").write_text(
        json.dumps(
            {
                "version": release.version,
                "path": str(release.path),
                "champion": champion,
                "unchanged": unchanged,
            }
        )
    )
