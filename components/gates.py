"""Gates: what a model must reach before it may be released. Needs no framework and no NumPy.

A gate compares one received number with one expected bound. What could not be computed, None or
NaN, never passes.
"""

import dataclasses
import math

from pipeline.config import GatesConfig


@dataclasses.dataclass(frozen=True)
class GateResult:
    """One comparison, in words and numbers a person can act on."""

    name: str
    expected: str
    received: str
    passed: bool
    model: str | None = None
    artifact: str | None = None

    def sentence(self) -> str:
        where = " ".join(part for part in (self.model, self.artifact) if part)
        return f"{where + ': ' if where else ''}{self.name} is {self.received}, expected " + (
            self.expected
        )


class GateRefused(ValueError):
    """A gate was not passed; the run ends with exit code 3."""

    def __init__(self, failed: list[GateResult]):
        super().__init__("; ".join(gate.sentence() for gate in failed) + ".")
        self.gates = tuple(dataclasses.asdict(gate) for gate in failed)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The current release as the change gate sees it; `source` says where accuracy is from."""

    version: int
    accuracy: float
    source: str


def check_model(
    model: str, metrics: dict, config: GatesConfig, baseline: Baseline | None
) -> list[GateResult]:
    """The gates of one model. `metrics` needs `accuracy` and `loss` on the test split.

    Without a release yet, the model is held to the absolute gates alone.
    """
    accuracy, loss = _number(metrics["accuracy"]), _number(metrics["loss"])
    results = [
        _at_least("accuracy", model, accuracy, config.min_accuracy, "gates.min_accuracy"),
        GateResult("finite_loss", "a finite number", f"{loss:.4f}", math.isfinite(loss), model),
    ]
    if baseline is not None:
        floor = baseline.accuracy - config.max_regression
        results.append(
            dataclasses.replace(
                _at_least("accuracy_against_release", model, accuracy, floor),
                expected=f"at least {floor:.4f} (release {baseline.version} has "
                f"{baseline.accuracy:.4f} {baseline.source}, gates.max_regression is "
                f"{config.max_regression})",
            )
        )
    return results


def check_parity(record: dict, max_difference: float, min_agreement: float) -> list[GateResult]:
    """The gates of one exported artifact against its source model, from a parity record."""
    model, artifact = record["model"], f"{record['artifact']} (batch {record['batch']})"
    if record.get("error"):
        return [
            GateResult("parity", "to run", f"failed: {record['error']}", False, model, artifact)
        ]
    difference, agreement = _number(record["max_difference"]), _number(record["agreement"])
    return [
        GateResult(
            "max_difference",
            f"at most {max_difference:g}",
            f"{difference:.2g}",
            difference <= max_difference,
            model,
            artifact,
        ),
        dataclasses.replace(
            _at_least("agreement", model, agreement, min_agreement), artifact=artifact
        ),
    ]


def parity_gates(
    records: list[dict], max_difference: float, min_agreement: float
) -> list[GateResult]:
    """`check_parity` over every record of `parity.json`."""
    return [
        gate for record in records for gate in check_parity(record, max_difference, min_agreement)
    ]


def choose_champion(metrics: dict[str, dict]) -> str:
    """The blessed model with the best accuracy; on a tie, the lower loss."""
    return max(metrics, key=lambda name: (metrics[name]["accuracy"], -metrics[name]["loss"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _at_least(name: str, model: str, value: float, bound: float, key: str = "") -> GateResult:
    """`key` names the setting that the bound is from."""
    expected = f"at least {bound:.4f}" + (f" ({key})" if key else "")
    # Written so that NaN fails: every comparison with NaN is false.
    return GateResult(name, expected, f"{value:.4f}", value >= bound, model)
