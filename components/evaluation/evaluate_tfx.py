"""Evaluate step: a model's own predictions, those on the test split judged by TFMA on Beam."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.base.frameworks import IMPORTED
from components.base.process import HOURS, run_module
from components.data.arrays import ImageArrays
from components.data.artifacts_tfx import ImageArraysArtifact
from components.evaluation import temperature
from components.evaluation.analysis_tfx import analyse, table
from components.evaluation.artifacts_tfx import Predictions
from components.evaluation.config import EvaluateConfig
from components.evaluation.corruptions import CORRUPTIONS, robustness
from components.evaluation.evaluate import RIGHT, plain_metrics
from components.evaluation.predictions import PredictArgs, load_predictions, named_rightly


@component(use_beam=True)
def Evaluate(
    examples: InputArtifact[standard_artifacts.Examples],
    arrays: InputArtifact[ImageArraysArtifact],
    model: InputArtifact[standard_artifacts.Model],
    predictions: OutputArtifact[Predictions],
    evaluation: OutputArtifact[standard_artifacts.ModelEvaluation],
    framework: Parameter[str],
    evaluate: Parameter[str],
    code: Parameter[str],
    corrupted: InputArtifact[ImageArraysArtifact] = None,
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Writes `test.npz`, `val.npz`, `calibration.json`, TFMA's result files, their summary as
    `metrics.json`, and `right.npy`.

    `evaluate` is an EvaluateConfig as JSON; robustness is measured where there are `corrupted`
    images. Only the test split is judged; the export compares its artifacts on both.
    """
    del code
    more = predict(
        EvaluateConfig.model_validate_json(evaluate), framework, model.uri, arrays.uri,
        corrupted.uri if corrupted else None, Path(predictions.uri),
    )  # fmt: skip
    probabilities, labels = load_predictions(Path(predictions.uri, "test.npz"))
    names, directory = ImageArrays(arrays.uri).labels, Path(evaluation.uri)
    split = Path(artifact_utils.get_split_uri([examples], "test"))
    result = analyse(
        beam_pipeline, table(probabilities, labels, names, split), directory,
        framework=framework, classes=len(names), data=str(split), model=model.uri,
    )  # fmt: skip
    summary = plain_metrics(result.slicing_metrics, result.plots, names)
    (directory / "metrics.json").write_text(json.dumps(summary | more, indent=1))
    np.save(directory / RIGHT, named_rightly(probabilities, labels))


def predict(
    config: EvaluateConfig,
    framework: str,
    model: str,
    arrays: str,
    corrupted: str | None,
    directory: Path,
) -> dict[str, Any]:
    """Has the model predict test, val and corrupted images into `directory`; returns the metrics
    that TFMA does not know."""
    names = ("test", "val", *(CORRUPTIONS if corrupted else ()))
    arguments = PredictArgs(
        model_dir=Path(model),
        arrays=Path(arrays),
        corrupted=Path(corrupted) if corrupted else None,
        outputs={name: directory / f"{name}.npz" for name in names},
        calibration=directory / temperature.FILE,
        temperature_scaling=config.temperature_scaling,
    )
    module = f"components.evaluation.{framework}_predict"
    run_module(module, arguments, directory, seconds=24 * HOURS, imports=IMPORTED[framework])
    found = {"calibration": json.loads((directory / temperature.FILE).read_text())}
    return found | ({"robustness": robustness(directory)} if corrupted else {})
