"""Model gates: what a model must reach before it may be released. Needs no framework, no NumPy."""

import dataclasses
import math

from pydantic import Field

from components.base.config import Slice
from components.gates.result import GateResult, at_least, number


class GatesConfig(Slice):
    """What a model must reach. Accuracies are shares of the test split."""

    min_accuracy: float = Field(ge=0, le=1)
    max_regression: float = Field(
        0.01, ge=0, le=1, description="accuracy it may lose against the current release"
    )


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The current release as the change gate sees it; `source` says where accuracy is from."""

    version: int
    accuracy: float
    source: str


def check_model(
    framework: str, metrics: dict, config: GatesConfig, baseline: Baseline | None
) -> list[GateResult]:
    """The gates of one model. `metrics` needs `accuracy` and `loss` on the test split.

    Without a release yet, the model is held to the absolute gates alone.
    """
    accuracy, loss = number(metrics["accuracy"]), number(metrics["loss"])
    finite = math.isfinite(loss)
    results = [
        at_least("accuracy", framework, accuracy, config.min_accuracy, "gates.min_accuracy"),
        GateResult("finite_loss", "a finite number", f"{loss:.4f}", finite, framework),
    ]
    if baseline is not None:
        floor = baseline.accuracy - config.max_regression
        results.append(
            dataclasses.replace(
                at_least("accuracy_against_release", framework, accuracy, floor),
                expected=f"at least {floor:.4f} (release {baseline.version} has "
                f"{baseline.accuracy:.4f} {baseline.source}, gates.max_regression is "
                f"{config.max_regression})",
            )
        )
    return results
