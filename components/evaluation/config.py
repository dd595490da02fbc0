"""The slice of configuration that is evaluation's."""

from pydantic import Field

from components.base.config import Slice


class EvaluateConfig(Slice):
    """What evaluation does beyond TFMA's metrics."""

    temperature_scaling: bool = Field(
        False,
        description="probabilities are calibrated by a temperature, fitted on val, in every export",
    )
    corruptions: bool = Field(
        False, description="accuracy is measured under noise, blur, brightness, contrast, JPEG too"
    )
