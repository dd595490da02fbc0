"""Augment step's glue."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.augmentation.artifacts_tfx import AugmentPlan
from components.augmentation.augment import make_plan
from components.augmentation.policy import AugmentConfig
from components.data.arrays import ImageArrays
from components.data.artifacts_tfx import ImageArraysArtifact


@component
def Augment(
    arrays: InputArtifact[ImageArraysArtifact],
    plan: OutputArtifact[AugmentPlan],
    augment: Parameter[str],
    limit: Parameter[int],
    code: Parameter[str],
) -> None:
    """`augment` is an AugmentConfig as JSON, `limit` how many images are trained on, 0 for all."""
    del code
    config = AugmentConfig.model_validate_json(augment)
    make_plan(ImageArrays(arrays.uri), config, Path(plan.uri), limit or None)
