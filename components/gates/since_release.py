"""What came and went since the current release, by split and class, and how features drifted."""

import re
from collections import Counter
from typing import Any

from components.data.image_changes import Changes
from components.gates.result import GateResult

_DRIFT = re.compile(r"drift_([a-z]+)_(\w+)")


def since_release(
    changed: Changes | None, results: list[GateResult], release: int
) -> dict[str, Any]:
    """The account's `since_release`: `release` is its version; `added` and `removed` count images
    by split and class, where the release has an index of its own; `drift` is each feature's TFDV
    distance by split, where there are enough images.

    An image that changed its split or class is removed from one and added to another: so each
    class's images are those of the release, less `removed`, plus `added`, less duplicates.
    """
    found: dict[str, Any] = {"release": release, "added": None, "removed": None, "drift": {}}
    if changed is not None:
        other = [p for p in changed.both if _place(p.before) != _place(p.after)]
        found["added"] = _counts([*changed.added, *(pair.after for pair in other)])
        found["removed"] = _counts([*changed.removed, *(pair.before for pair in other)])
    for result in results:
        if (name := _DRIFT.fullmatch(result.name)) and result.value is not None:
            found["drift"].setdefault(name[2], {})[name[1]] = round(result.value, 6)
    return found


def _place(row: Any) -> tuple[str, str]:
    return row.split, row.label


def _counts(rows: list) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (split, label), count in sorted(Counter(map(_place, rows)).items()):
        counts.setdefault(split, {})[label] = count
    return counts
