"""Push step's glue: the champion's verified artifacts into the release store."""

import json
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.data.artifacts_tfx import ImageArraysArtifact, IngestReport
from components.data.image_index import INDEX
from components.evaluation.artifacts_tfx import Predictions
from components.features.artifacts_tfx import CrossValidation, Features
from components.features.cross_validate import FILE as CROSS_VALIDATION
from components.gates.artifacts_tfx import DataVerdict, GateVerdict
from export.release.config import ReleaseConfig
from export.release.neighbours import TrainingFeatures
from export.release.push import Facts, push, read_exported
from export.verification.artifacts_tfx import Exports
from export.verification.config import ExportConfig
from export.verification.records import LATENCY, PARITY
from serving.contract.release_files import DATA
from serving.store.store import Store


def _read(uri: str, name: str) -> Any:
    return json.loads(Path(uri, name).read_text())


@component
def Push(
    exports: InputArtifact[Exports],
    verdict: InputArtifact[GateVerdict],
    arrays: InputArtifact[ImageArraysArtifact],
    report: InputArtifact[IngestReport],
    data_verdict: InputArtifact[DataVerdict],
    pushed: OutputArtifact[standard_artifacts.PushedModel],
    export: Parameter[str],
    release: Parameter[str],
    store: Parameter[str],
    name: Parameter[str],
    lineage: Parameter[str],
    run_id: Parameter[str],
    provenance: Parameter[str],
    code: Parameter[str],
    keras_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
    torch_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
    keras_predictions: InputArtifact[Predictions] = None,
    torch_predictions: InputArtifact[Predictions] = None,
    keras_run: InputArtifact[standard_artifacts.ModelRun] = None,
    torch_run: InputArtifact[standard_artifacts.ModelRun] = None,
    features: InputArtifact[Features] = None,
    validation: InputArtifact[CrossValidation] = None,
) -> None:
    """Writes `release.json`: version, path, champion, why it is that (where that is not plain),
    whether it was already the release or an earlier one, and the versions that were removed.

    `export` is an ExportConfig, `release` a ReleaseConfig, `lineage` an object of fingerprints for
    the manifest, `provenance` that of `provenance.recorded`, all as JSON. `features` are those of
    the backbone as it was pretrained. Raises what `push.push` does.
    """
    del code
    parity = _read(exports.uri, PARITY)
    of = {
        "keras": (keras_evaluation, keras_predictions, keras_run),
        "torch": (torch_evaluation, torch_predictions, torch_run),
    }
    exported = {
        framework: read_exported(
            Path(exports.uri, framework),
            Path(of[framework][1].uri, "test.npz"),
            _read(of[framework][0].uri, "metrics.json"),
            finetuned=_read(of[framework][2].uri, "result.json")["finetuned"],
        )
        for framework in sorted({record["framework"] for record in parity})
    }
    extra = {"data": _read(report.uri, "accounting.json"), **json.loads(lineage)}
    if validation:
        extra["cross_validation"] = _read(validation.uri, CROSS_VALIDATION)
    facts = Facts(
        run_id=run_id,
        arrays=Path(arrays.uri),
        data=Path(data_verdict.uri, DATA),
        gates=_read(verdict.uri, "verdict.json"),
        extra=extra,
        code=json.loads(provenance),
        neighbours=features and TrainingFeatures(Path(features.uri), Path(report.uri, INDEX)),
    )
    limits = ExportConfig.model_validate_json(export)
    latency = _read(exports.uri, LATENCY)
    kept = ReleaseConfig.model_validate_json(release)
    done = push(Store(store), name, exported, parity, latency, limits, kept, facts)
    pushed.set_string_custom_property("pushed_destination", str(done.release.path))
    pushed.set_string_custom_property("pushed_version", str(done.release.version))
    written = {
        "version": done.release.version,
        "path": str(done.release.path),
        "champion": done.champion,
        "why": done.why,
        "unchanged": done.unchanged,
        "again": done.again,
        "removed": done.removed,
    }
    Path(pushed.uri, "release.json").write_text(json.dumps(written))
