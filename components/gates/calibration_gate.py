"""The gate on calibration: how far confidence may be from accuracy. Needs no NumPy."""

from pydantic import Field

from components.base.config import Slice
from components.gates.result import GateResult, at_most, number


class CalibrationLimit(Slice):
    """How sure of itself a model may be."""

    max_calibration_error: float | None = Field(
        None, gt=0, le=1, description="expected calibration error of the released probabilities"
    )


def calibration_gate(framework: str, metrics: dict, config: CalibrationLimit) -> list[GateResult]:
    """One result where the limit is set."""
    if config.max_calibration_error is None:
        return []
    error = number((metrics.get("calibration") or {}).get("error"))
    key = "gates.max_calibration_error"
    return [at_most("calibration_error", framework, error, config.max_calibration_error, key)]
