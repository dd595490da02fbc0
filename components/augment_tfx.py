"""Augment step's glue."""

import logging
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
    limit: Parameter[int],
    code: Parameter[str],
) -> None:
    """`augment` is an AugmentConfig as JSON, `limit` how many images are trained on, 0 for all."""
    del code
    config, packed = AugmentConfig.model_validate_json(augment), Arrays(arrays.uri)
    directory = Path(plan.uri)
    make_plan(packed, config, directory, limit or None)
    try:
        write_preview(packed, config, directory / "preview", directory / "preview.png")
    except Exception:  # a picture is no reason to lose a run
        logging.exception("The augmentation preview could not be drawn")
