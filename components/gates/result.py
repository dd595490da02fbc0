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
    has neither.
    """

    name: str
    expected: str
    received: str
    passed: bool
    framework: str | None = None
    artifact: str | None = None

    def sentence(self) -> str:
        where = " ".join(part for part in (self.framework, self.artifact) if part)
        return f"{where + ': ' if where else ''}{self.name} is {self.received}, expected " + (
            self.expected
        )

    def to_json(self) -> dict[str, Any]:
        """As in verdict.json, where a framework's model is called `model`."""
        values = dataclasses.asdict(self)
        return {("model" if key == "framework" else key): values[key] for key in values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "GateResult":
        """What `to_json` gave."""
        return cls(**{("framework" if key == "model" else key): values[key] for key in values})


class GateRefused(Refusal):
    """A gate was not passed; `gates` are the failed ones, as verdict.json has them."""

    exit_code = 3

    def __init__(self, failed: list[GateResult]):
        super().__init__("; ".join(gate.sentence() for gate in failed) + ".")
        self.gates = tuple(gate.to_json() for gate in failed)


def number(value: float | None) -> float:
    """NaN for what could not be computed."""
    return math.nan if value is None else float(value)


def at_least(name: str, framework: str, value: float, bound: float, key: str = "") -> GateResult:
    """`key` names the setting that the bound is from."""
    expected = f"at least {bound:.4f}" + (f" ({key})" if key else "")
    # Written so that NaN fails: every comparison with NaN is false.
    return GateResult(name, expected, f"{value:.4f}", value >= bound, framework)
