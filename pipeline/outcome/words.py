"""Numbers and tables as people read them. What could not be computed is said in words."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

NOT_COMPUTED = "not computed"
_NAN = re.compile(r"(?<![\w./-])-?nan(?![\w./-])")


@dataclasses.dataclass(frozen=True)
class Table:
    """`head` names the columns; the first cell of a row is its heading. Columns in `numbers` are
    aligned to the right. `states`, one for each row where given, colour its last cell."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: range = range(0)
    states: Sequence[str] = ()


def number(value: float | None, style: str = ".4f") -> str:
    """The number in that format, or that there is none."""
    return NOT_COMPUTED if value is None else format(value, style)


def megabytes(count: int | None) -> str:
    """Bytes, in the unit that disks are sold by."""
    return NOT_COMPUTED if count is None else f"{count / 1e6:,.1f} MB"


def artifact_state(row: dict[str, Any]) -> str:
    """Of one of verdict.json's artifacts: passed, failed, or left out of the release."""
    if row.get("left_out"):
        return "left out"
    return "passed" if row["passed"] else "failed"


def computed(text: str) -> str:
    """Words from a gate or a verdict, in which numbers are printed already."""
    return _NAN.sub(NOT_COMPUTED, text)


def sentence(text: str, most: int = 280) -> str:
    """The verdict's sentence; of one that lists more failed gates than anyone reads at a glance
    the first, and how many there are."""
    parts = computed(text).split("; ")
    kept = 1
    while kept < len(parts) and len("; ".join(parts[: kept + 1])) <= most:
        kept += 1
    more = len(parts) - kept
    return "; ".join(parts[:kept]) + (f"; and {more:,} more, below." if more else "")


def duration(seconds: float) -> str:
    """As people say it: `52 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
