"""What a gate says: one received number beside one expected bound. Needs no NumPy.

What could not be computed, None or NaN, never passes.
"""

import dataclasses
import math
from typing import Any

from components.base.refusal import Refusal


@dataclasses.dataclass(frozen=True)
class GateResult:
    """One comparison, in words and numbers a person can act on.

    `framework` names the model that was judged, `artifact` the exported form of it; a gate on data
    has neither. `scope` is the part of the images that it is about, where that is not all of them;
    `value` was held against `threshold`, which is that of the setting `key`. `warning` is a
    sentence for people about what passed and is not as it should be.
    """

    name: str
    expected: str
    received: str
    passed: bool
    framework: str | None = None
    artifact: str | None = None
    scope: str | None = None
    threshold: float | None = None
    value: float | None = None
    key: str | None = None
    warning: str | None = None

    def sentence(self) -> str:
        where = " ".join(part for part in (self.framework, self.artifact) if part)
        what = f"{self.name} of {self.scope}" if self.scope else self.name
        return f"{where + ': ' if where else ''}{what} is {self.received}, expected " + (
            self.expected
        )

    def to_json(self) -> dict[str, Any]:
        """As in verdict.json, where a framework's model is called `model`; NaN is None there."""
        values = dataclasses.asdict(self)
        for key in ("threshold", "value"):
            if values[key] is not None and not math.isfinite(values[key]):
                values[key] = None
        return {("model" if key == "framework" else key): values[key] for key in values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "GateResult":
        """What `to_json` gave."""
        return cls(**{("framework" if key == "model" else key): values[key] for key in values})


class GateRefused(Refusal):
    """A gate was not passed; `gates` are the failed ones, as verdict.json has them."""

    exit_code = 3
    MOST = 6
    """Gates that the sentence tells of; a hundred classes may have failed."""

    def __init__(self, failed: list[GateResult]):
        more = len(failed) - self.MOST
        told = [gate.sentence() for gate in failed[: self.MOST]]
        told += [f"and {more} more"] if more > 0 else []
        super().__init__("; ".join(told) + ".")
        self.gates = tuple(gate.to_json() for gate in failed)


def number(value: float | None) -> float:
    """NaN for what could not be computed."""
    return math.nan if value is None else float(value)


def shown(value: float) -> str:
    """Four decimals; people are not told of "nan"."""
    return "not a number" if math.isnan(value) else f"{value:.4f}"


def at_least(
    name: str, framework: str, value: float, bound: float, key: str, scope: str | None = None
) -> GateResult:
    """`key` names the setting that the bound is from. NaN fails: no comparison with it is true."""
    return GateResult(
        name, f"at least {bound:.4f} ({key})", shown(value), value >= bound, framework,
        scope=scope, threshold=bound, value=value, key=key,
    )  # fmt: skip


def at_most(
    name: str, framework: str, value: float, bound: float, key: str, scope: str | None = None
) -> GateResult:
    """The twin of `at_least`."""
    return GateResult(
        name, f"at most {bound:.4f} ({key})", shown(value), value <= bound, framework,
        scope=scope, threshold=bound, value=value, key=key,
    )  # fmt: skip


def failed_or_lowest(results: list[GateResult]) -> list[GateResult]:
    """Of one gate's results on many scopes all that failed or, where none did, the lowest."""
    failed = [result for result in results if not result.passed]
    return failed or [min(results, key=lambda result: number(result.value))]


def not_measured(name: str, framework: str, expected: str, key: str) -> GateResult:
    """Of a number that is not there: it does not pass."""
    return GateResult(name, expected, "not measured", False, framework, key=key)
