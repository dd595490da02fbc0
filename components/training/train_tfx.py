"""The two trainers' glue: each framework in its own process, the same artifacts from both."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.augmentation.artifacts_tfx import AugmentPlan
from components.base.frameworks import IMPORTED
from components.base.process import run_module
from components.data.artifacts_tfx import ImageArraysArtifact
from components.features.artifacts_tfx import Features
from components.training.arguments import TrainArgs
from components.training.config import TrainConfig
from components.training.hardware import fit_beside_each_other, share_of_threads, trainings


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
    features: InputArtifact[Features] = None,
) -> None:
    """Trains `framework` (keras or torch); `train` is a TrainConfig as JSON, and `features` are
    those of a pretrained backbone, where the architecture has one.

    `checkpoints` is a directory that outlives the step: TFX gives a step that runs again a new
    output directory. The last ones stay until the run sees that TFX has the model, so that a kill
    in between costs no training. The trainings of a line run at once where the machine allows it.
    """
    config = TrainConfig.model_validate_json(train)
    count = trainings()
    beside = count > 1 and fit_beside_each_other(count, config.threads)
    if beside:
        threads = share_of_threads(count, config.threads)
        config = config.model_copy(update={"threads": threads})
    arguments = TrainArgs(
        arrays=Path(arrays.uri),
        plan=Path(plan.uri),
        features=Path(features.uri) if features else None,
        architecture=architecture,
        train=config,
        model_dir=Path(model.uri),
        run_dir=Path(model_run.uri),
        checkpoints=Path(checkpoints) / framework,
        code=code,
    )
    module, imports = f"components.training.train_{framework}", IMPORTED[framework]
    run_module(module, arguments, model_run.uri, seconds=None, imports=imports, beside=beside)
