"""Push step: the champion's verified artifacts into the release store, under one new version."""

import json
import tempfile
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.data.artifacts_tfx import ImageArraysArtifact, IngestReport
from components.evaluation.artifacts_tfx import Predictions
from components.gates.artifacts_tfx import DataVerdict, GateVerdict
from components.gates.result import GateRefused, GateResult
from export.release.bundle import bundle
from export.release.push import choose_champion
from export.verification.artifacts_tfx import Exports
from export.verification.config import ExportConfig
from export.verification.parity_gates import parity_gates
from serving.store.release import Release, StoreError
from serving.store.store import Store


def _read(uri: str, name: str):
    return json.loads(Path(uri, name).read_text())


def _is(release: Release, lineage: str) -> bool:
    """Whether the release is whole and holds the model of this lineage."""
    try:
        release.verify()
    except StoreError:
        return False
    return release.contract()["lineage"] == lineage


def _refuse_rolled_back(releases: Store, name: str, lineage: str) -> None:
    """Raises GateRefused when this very model is a release newer than the current one: somebody
    rolled back from it, and a schedule must not bring it back."""
    current = releases.current(name)
    for release in releases.releases(name):
        if current and release.version > current.version and _is(release, lineage):
            gate = GateResult(
                name="rolled_back",
                expected=f"a model other than release {release.version}, which was rolled back "
                f"from (python -m serving.store rollback {name} {release.version} restores it)",
                received=f"the same model ({lineage})",
                passed=False,
            )
            raise GateRefused([gate])


@component
def Push(
    exports: InputArtifact[Exports],
    verdict: InputArtifact[GateVerdict],
    arrays: InputArtifact[ImageArraysArtifact],
    report: InputArtifact[IngestReport],
    data_verdict: InputArtifact[DataVerdict],
    pushed: OutputArtifact[standard_artifacts.PushedModel],
    export: Parameter[str],
    store: Parameter[str],
    name: Parameter[str],
    lineage: Parameter[str],
    run_id: Parameter[str],
    code: Parameter[str],
    keras_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
    torch_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
    keras_predictions: InputArtifact[Predictions] = None,
    torch_predictions: InputArtifact[Predictions] = None,
) -> None:
    """Writes `release.json`: version, path, champion and whether it was already the release.

    `export` is an ExportConfig, `lineage` an object of fingerprints for the manifest, both as
    JSON. Raises GateRefused when an artifact disagrees with its source. A champion that is the
    current release already (same weights, code and contract) is not pushed again.
    """
    del code
    limits = ExportConfig.model_validate_json(export)
    records = _read(exports.uri, "parity.json")
    parity = parity_gates(records, limits.max_difference, limits.min_agreement)
    failed = [gate for gate in parity if not gate.passed]
    if failed:
        raise GateRefused(failed)
    exported = {record["framework"] for record in records}
    evaluations = {"keras": keras_evaluation, "torch": torch_evaluation}
    metrics = {model: _read(evaluations[model].uri, "metrics.json") for model in exported}
    champion = choose_champion(metrics)
    contract = _read(f"{exports.uri}/{champion}", "contract.json")
    releases = Store(store)
    current = releases.current(name)
    unchanged = current is not None and _is(current, contract["lineage"])
    if unchanged:
        release = current
    else:
        _refuse_rolled_back(releases, name, contract["lineage"])
        predictions = {"keras": keras_predictions, "torch": torch_predictions}[champion]
        gates = _read(verdict.uri, "verdict.json") + [gate.to_json() for gate in parity]
        with tempfile.TemporaryDirectory(dir=pushed.uri) as staging:
            directory = Path(staging, "release")
            bundle(
                Path(exports.uri, champion),
                directory,
                model=name,
                run_id=run_id,
                arrays=arrays.uri,
                data=Path(data_verdict.uri, "data"),
                predictions=str(Path(predictions.uri, "test.npz")),
                metrics=metrics[champion],
                gates=[gate for gate in gates if gate["model"] == champion],
                parity=[record for record in records if record["framework"] == champion],
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
