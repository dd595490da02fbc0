"""Export step: every blessed model in every format, each run and compared in a fresh process."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.base.process import HOURS, run_module
from components.data.artifacts_tfx import ImageArraysArtifact
from components.evaluation.artifacts_tfx import Predictions
from components.gates.artifacts_tfx import GateVerdict
from components.gates.result import GateRefused, GateResult
from export.exporter import ExportArgs
from export.verification.artifacts_tfx import Exports
from export.verification.config import ExportConfig


@component
def Export(
    arrays: InputArtifact[ImageArraysArtifact],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    examples: InputArtifact[standard_artifacts.Examples],
    verdict: InputArtifact[GateVerdict],
    exports: OutputArtifact[Exports],
    export: Parameter[str],
    current: Parameter[str],
    code: Parameter[str],
    keras_model: InputArtifact[standard_artifacts.Model] = None,
    torch_model: InputArtifact[standard_artifacts.Model] = None,
    keras_predictions: InputArtifact[Predictions] = None,
    torch_predictions: InputArtifact[Predictions] = None,
    keras_blessing: InputArtifact[standard_artifacts.ModelBlessing] = None,
    torch_blessing: InputArtifact[standard_artifacts.ModelBlessing] = None,
) -> None:
    """`export` is an ExportConfig as JSON, `current` the directory of the release whose latencies
    are asked for, or empty; a framework that was not trained has no model.

    Raises GateRefused when no model is blessed.
    """
    del code
    parts = {
        "keras": (keras_model, keras_predictions, keras_blessing),
        "torch": (torch_model, torch_predictions, torch_blessing),
    }
    blessed = {
        name: (model, predictions)
        for name, (model, predictions, blessing) in parts.items()
        if blessing and blessing.get_int_custom_property("blessed") == 1
    }
    if not blessed:
        gates = json.loads(Path(verdict.uri, "verdict.json").read_text())
        raise GateRefused([GateResult.from_json(gate) for gate in gates if not gate["passed"]])
    arguments = ExportArgs(
        models={name: model.uri for name, (model, _) in blessed.items()},
        predictions={name: p.uri for name, (_, p) in blessed.items()},
        arrays=arrays.uri,
        transform_graph=transform_graph.uri,
        examples=examples.uri,
        current=current or None,
        output=exports.uri,
        export=ExportConfig.model_validate_json(export),
    )
    run_module("export", arguments, exports.uri, seconds=HOURS, gpu=False, imports="tensorflow")
