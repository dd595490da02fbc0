"""What became of a set's images since an earlier index of them, told by their pixels alone: files
may be renamed and moved."""

import dataclasses
from collections import Counter, defaultdict
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


def phrase(changed: Changes) -> str:
    """`30 files added to class 3, 2 removed from class 7, 1 changed`; empty where every picture is
    in both, under the same name and class."""
    # What lies at one place in both, and is another picture now, was edited.
    before = {(row.label, row.name) for row in changed.removed if row.name}
    edited = {place for row in changed.added if (place := (row.label, row.name)) in before}
    added = Counter(r.label for r in changed.added if (r.label, r.name) not in edited)
    removed = Counter(r.label for r in changed.removed if (r.label, r.name) not in edited)
    moved = Counter(pair.after.label for pair in changed.relabelled)
    renamed = sum(
        pair.before.name != pair.after.name and pair.before.label == pair.after.label
        for pair in changed.both
    )
    parts = [(n, f"added to {to}") for to, n in _by_class(added)]
    parts += [(n, f"removed from {of}") for of, n in _by_class(removed)]
    parts += [(n, f"moved to {to}") for to, n in _by_class(moved)]
    parts += [(len(edited), "changed"), (renamed, "renamed")]
    words = [f"{count:,} {what}" for count, what in parts if count]
    if words:
        count, what = words[0].split(" ", 1)
        words[0] = f"{count} {'file' if count == '1' else 'files'} {what}"
    return ", ".join(words)


def _by_class(counts: Counter[str]) -> list[tuple[str, int]]:
    """(`class 3`, how many), of more than two classes all in one."""
    if len(counts) > 2:
        return [(f"{len(counts):,} classes", counts.total())]
    return [(f"class {label}", count) for label, count in sorted(counts.items())]
