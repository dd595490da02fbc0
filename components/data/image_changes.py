"""What became of a set's images since an earlier index of them, told by their pixels alone: files
may be renamed and moved."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from components.data.image_index import DIGEST, Row


class Pair(NamedTuple):
    """One image then and now."""

    before: Row
    after: Row


@dataclasses.dataclass(frozen=True)
class Changes:
    """Every image of both indices once: in both of them, or in one alone."""

    both: list[Pair]
    added: list[Row]
    removed: list[Row]

    @property
    def relabelled(self) -> list[Pair]:
        """Images of another class than before."""
        return [pair for pair in self.both if pair.before.label != pair.after.label]

    @property
    def moved(self) -> list[Pair]:
        """Images that came into the test split, or left it."""
        return [
            pair
            for pair in self.both
            if (pair.before.split == "test") != (pair.after.split == "test")
        ]


_LIKENESS: tuple[Callable[[Row], Hashable], ...] = (
    lambda row: (row.sha256[:DIGEST], row.label, row.split),
    lambda row: (row.sha256[:DIGEST], row.label),
    lambda row: row.sha256[:DIGEST],
)
"""Of several copies of a picture, those of one class and split belong together first."""


def changes(before: dict[str, list[Row]], after: dict[str, list[Row]]) -> Changes:
    """From one index to another, each of them as `image_index.read` gives it."""
    old = [row for rows in before.values() for row in rows]
    new = [row for rows in after.values() for row in rows]
    both: list[Pair] = []
    for alike in _LIKENESS:
        waiting = defaultdict(list)
        for row in reversed(old):
            waiting[alike(row)].append(row)
        unmatched = []
        for row in new:
            if twins := waiting.get(alike(row)):
                both.append(Pair(twins.pop(), row))
            else:
                unmatched.append(row)
        old, new = [row for rows in waiting.values() for row in reversed(rows)], unmatched
    return Changes(both, added=new, removed=old)
