"""Gates step: blesses the models that pass. A refusal is a result, recorded like any other."""

import json
from pathlib import Path

import numpy as np
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.data.arrays import ImageArrays
from components.data.artifacts_tfx import ImageArraysArtifact
from components.gates import baseline, validation_tfx
from components.gates.artifacts_tfx import GateVerdict
from components.gates.change_gate import change_of_data
from components.gates.comparison import COMPARISONS
from components.gates.model_gates import GatesConfig, judge
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
    releases: Parameter[str],
    code: Parameter[str],
    keras_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
    torch_evaluation: InputArtifact[standard_artifacts.ModelEvaluation] = None,
) -> None:
    """Writes `verdict.json`, `comparisons.json` and `tfma/<framework>/`, the evaluation with TFMA's
    own verdict. A framework that was not trained has no evaluation.

    `gates` is a GatesConfig as JSON, `releases` a JSON list of the versions to compare with, the
    last being current. They are a parameter so that a new release, or a rollback, has the models
    judged again.
    """
    del code
    config, packed = GatesConfig.model_validate_json(gates), ImageArrays(arrays.uri)
    known = {release.version: release for release in Store(store).releases(name)}
    line = [known[version] for version in json.loads(releases)]
    given = {"keras": keras_evaluation, "torch": torch_evaluation}
    evaluations = {framework: Path(of.uri) for framework, of in given.items() if of is not None}
    answers = {framework: np.load(of / "right.npy") for framework, of in evaluations.items()}
    comparisons = baseline.compare(line, packed, answers, config.best_since)
    results = change_of_data(next(iter(comparisons.values()), []))
    for framework, blessing in (("keras", keras_blessing), ("torch", torch_blessing)):
        evaluation = evaluations.get(framework)
        if evaluation is None:
            _bless(blessing, False)
            continue
        metrics = json.loads((evaluation / "metrics.json").read_text())
        checks = judge(framework, metrics, comparisons[framework], config)
        _bless(blessing, all(check.passed for check in checks))
        validation_tfx.write(evaluation, Path(verdict.uri, "tfma", framework), checks, config)
        results += checks
    rows = [result.to_json() for result in results]
    Path(verdict.uri, "verdict.json").write_text(json.dumps(rows, indent=1))
    told = {of: [one.to_json() for one in found] for of, found in comparisons.items()}
    Path(verdict.uri, COMPARISONS).write_text(json.dumps(told, indent=1))
