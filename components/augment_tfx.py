"""Augment step's glue."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.arrays import ImageArrays as Arrays
from components.artifacts_tfx import AugmentPlan, ImageArrays
from components.augment import write_plan
from components.process import run_module
from pipeline.config import AugmentConfig


@component
def Augment(
    arrays: InputArtifact[ImageArrays],
    plan: OutputArtifact[AugmentPlan],
    augment: Parameter[str],
    code: Parameter[str],
) -> None:
    """`augment` is an AugmentConfig as JSON."""
    del code
    directory = Path(plan.uri)
    write_plan(Arrays(arrays.uri), AugmentConfig.model_validate_json(augment), directory)
    preview = {"arrays": arrays.uri, "plan": plan.uri, "output": plan.uri}
    run_module("components.torch_augment", preview, directory)
