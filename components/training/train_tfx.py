"""The two trainers' glue: each framework in its own process, the same artifacts from both."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.augmentation.artifacts_tfx import AugmentPlan
from components.base.process import run_module
from components.data.artifacts_tfx import ImageArraysArtifact


@component
def Train(
    arrays: InputArtifact[ImageArraysArtifact],
    plan: InputArtifact[AugmentPlan],
    model: OutputArtifact[standard_artifacts.Model],
    model_run: OutputArtifact[standard_artifacts.ModelRun],
    framework: Parameter[str],
    architecture: Parameter[str],
    train: Parameter[str],
    checkpoints: Parameter[str],
    code: Parameter[str],
) -> None:
    """Trains `framework` (keras or torch); `train` is a TrainConfig as JSON.

    `checkpoints` is a directory that outlives the step: TFX gives a step that runs again a new
    output directory. The last ones stay until the run sees that TFX has the model, so that a kill
    in between costs no training.
    """
    arguments = {
        "arrays": arrays.uri,
        "plan": plan.uri,
        "architecture": architecture,
        "train": json.loads(train),
        "model_dir": model.uri,
        "run_dir": model_run.uri,
        "checkpoints": str(Path(checkpoints) / framework),
        "code": code,
    }
    run_module(f"components.training.train_{framework}", arguments, model_run.uri)
