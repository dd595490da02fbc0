"""Medians and ratios of speeds that were measured side by side."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Of medians, with the lowest and highest among the ratios of single pairs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """`ours` over `theirs`, measured in turns: the n-th of each share what the machine was doing.

    Raises ValueError when they are not pairs of positive numbers.
    """
    if not ours or len(ours) != len(theirs) or min(*ours, *theirs) <= 0:
        raise ValueError(f"got speeds {ours} and {theirs}, expected pairs of positive numbers.")
    pairs = [one / other for one, other in zip(ours, theirs)]
    return Ratio(statistics.median(ours) / statistics.median(theirs), min(pairs), max(pairs))


def mean_and_deviation(values: list[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation, None for a single value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None
