"""Gates step: blesses the models that pass. A refusal is a result, recorded like any other."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.data.arrays import ImageArrays
from components.data.artifacts_tfx import ImageArraysArtifact
from components.gates import baseline
from components.gates.artifacts_tfx import GateVerdict
from components.gates.model_gates import GatesConfig, check_model
from serving.store.store import Store


def _bless(artifact: standard_artifacts.ModelBlessing, blessed: bool) -> None:
    """As TFX's own Evaluator does: a property for resolvers, an empty file for people."""
    artifact.set_int_custom_property("blessed", int(blessed))
    Path(artifact.uri).mkdir(parents=True, exist_ok=True)
    Path(artifact.uri, "BLESSED" if blessed else "NOT_BLESSED").touch()


@component
def Gates(
    arrays: InputArtifact[ImageArraysArtifact],
    keras_blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    torch_blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    verdict: OutputArtifact[GateVerdict],
    gates: Parameter[str],
    store: Parameter[str],
    name: Parameter[str],
    baseline_version: Parameter[int],
    code: Parameter[str],
    keras_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
    torch_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
) -> None:
    """`gates` is a GatesConfig as JSON; `baseline_version` the current release, 0 for none. A
    framework that was not trained has no evaluation.

    The version is a parameter so that a new release, or a rollback, has the models judged again.
    """
    del code
    config = GatesConfig.model_validate_json(gates)
    releases = {release.version: release for release in Store(store).releases(name)}
    reference = None
    if baseline_version:
        reference = baseline.measure(releases[baseline_version], ImageArrays(arrays.uri))
    results = []
    for framework, evaluation, blessing in (
        ("keras", keras_evaluation, keras_blessing),
        ("torch", torch_evaluation, torch_blessing),
    ):
        if evaluation is None:
            _bless(blessing, False)
            continue
        metrics = json.loads(Path(evaluation.uri, "metrics.json").read_text())
        checks = check_model(framework, metrics, config, reference)
        _bless(blessing, all(check.passed for check in checks))
        results += checks
    Path(verdict.uri, "verdict.json").write_text(
        json.dumps([result.to_json() for result in results], indent=1)
    )
