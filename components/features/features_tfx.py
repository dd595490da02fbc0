"""Features step's glue."""

import contextlib
import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.augmentation.artifacts_tfx import AugmentPlan
from components.augmentation.plan import read_policy
from components.base import atomic
from components.base.process import HOURS, run_module
from components.data.artifacts_tfx import ImageArraysArtifact
from components.features.artifacts_tfx import Features as FeaturesArtifact
from components.features.extract import FeatureArgs


@component
def Features(
    arrays: InputArtifact[ImageArraysArtifact],
    plan: InputArtifact[AugmentPlan],
    features: OutputArtifact[FeaturesArtifact],
    architecture: Parameter[str],
    last: Parameter[str],
    code: Parameter[str],
) -> None:
    """Writes what the backbone of `architecture` makes of every image.

    `last` is a file that outlives the step: it names the features of the run before, of which those
    of the same pixels are taken over.
    """
    arguments = FeatureArgs(
        arrays=Path(arrays.uri),
        policy=read_policy(Path(plan.uri), "torch"),
        architecture=architecture,
        output=Path(features.uri),
        before=_before(Path(last)),
        code=code,
    )
    module = "components.features.torch_features"
    run_module(module, arguments, features.uri, seconds=24 * HOURS, imports="torch")
    atomic.write(Path(last), json.dumps({"features": features.uri}))


def _before(last: Path) -> Path | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return Path(json.loads(last.read_text())["features"])
    return None
