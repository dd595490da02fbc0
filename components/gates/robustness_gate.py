"""The gate on robustness: how much accuracy must be left on corrupted images. Needs no NumPy."""

import math

from pydantic import Field

from components.base.config import Slice
from components.gates.result import GateResult, at_least, failed_or_lowest, not_measured, number


class RobustnessLimit(Slice):
    """What must be left of the accuracy where images are worse than those of the test split."""

    min_robustness: float | None = Field(
        None, gt=0, le=1, description="share of the accuracy kept under every corruption measured"
    )


def robustness_gate(framework: str, metrics: dict, config: RobustnessLimit) -> list[GateResult]:
    """Where the limit is set a result for every corruption under which too little is left or,
    where there is none, one for the worst."""
    key, bound = "gates.min_robustness", config.min_robustness
    if bound is None:
        return []
    measured = metrics.get("robustness") or {}
    if not measured:
        expected = f"at least {bound:.4f} of the accuracy under every corruption ({key})"
        return [not_measured("robustness", framework, expected, key)]
    clean = number(metrics["accuracy"])
    kept = {
        name: number(accuracy) / clean if clean else math.nan for name, accuracy in measured.items()
    }
    return failed_or_lowest(
        [
            at_least("robustness", framework, value, bound, key, f"images under {name}")
            for name, value in kept.items()
        ]
    )
