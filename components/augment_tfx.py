"""Augment step's glue."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.arrays import ImageArrays as Arrays
from components.artifacts_tfx import AugmentPlan, ImageArrays
from components.augment import make_plan
from components.preview import write_preview
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
    config, packed = AugmentConfig.model_validate_json(augment), Arrays(arrays.uri)
    directory = Path(plan.uri)
    make_plan(packed, config, directory)
    write_preview(packed, config, directory / "preview", directory / "preview.png")
