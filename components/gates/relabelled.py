"""The gate on relabelled images: those that the current release knows under another class.

Two classes whose labels are swapped look healthy to every other gate: the counts stay, and the
release that would tell is measured on the very labels that are wrong.
"""

from collections import Counter

from components.data.accounting import Finding
from components.data.image_changes import Changes, Pair
from components.gates.data_gate import DataGateConfig
from components.gates.result import GateResult

FEW = 3
"""Corrections that a set of any size may have, of any class: 1% of forty images is none."""

MOST_OF_A_CLASS = 0.5
"""The largest share of a class's images that can pass for corrections: where there are hundreds of
classes, two swapped ones are few of all images, and still all of their own."""


def relabelled(changes: Changes, labels: list[str]) -> list[Pair]:
    """The images whose class changed from one that is still there to one that was there before.

    `labels` are today's classes. A class that only one of both lists has was renamed, merged or
    added, which is refused elsewhere until `data.accept_classes`.
    """
    before = {row.label for row in (*(p.before for p in changes.both), *changes.removed)}
    common = before & set(labels)
    return [p for p in changes.relabelled if common >= {p.before.label, p.after.label}]


def check(changes: Changes, found: list[Pair], config: DataGateConfig, release: str) -> GateResult:
    """Whether `found`, as `relabelled` gives them, are few enough of all images that `release`
    knows, and of those of each class."""
    share = config.max_relabelled
    of_a_class = max(share, MOST_OF_A_CLASS) if share else 0.0
    known = Counter(pair.before.label for pair in changes.both)
    gone = Counter(pair.before.label for pair in found)
    allowed = _allowed(known.total(), share)
    return GateResult(
        name="relabelled",
        expected=f"at most {allowed:,} of the {known.total():,} that it knows, and of no class "
        f"more than {of_a_class:.0%} (data_gate.max_relabelled)",
        received=_words(found, release),
        passed=gone.total() <= allowed
        and all(gone[name] <= _allowed(known[name], of_a_class) for name in gone),
        key="data_gate.max_relabelled",
    )


def _allowed(images: int, share: float) -> int:
    return max(FEW, int(images * share)) if share else 0


def _words(found: list[Pair], release: str) -> str:
    if not found:
        return "none"
    ways = Counter((pair.before.label, pair.after.label) for pair in found).most_common(2)
    told = [
        f"{_images(count)} of {old!r} {'is' if count == 1 else 'are'} {new!r} now"
        for (old, new), count in ways
    ]
    rest = len(found) - sum(count for _, count in ways)
    told += [f"{rest:,} more"] if rest else []
    return f"{_images(len(found))} of another class than in {release} ({', '.join(told)})"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def findings(changes: Changes, found: list[Pair], release: str) -> list[Finding]:
    """A line of findings.csv for each of `found`, and for each image that came into the test split
    or left it."""
    rows = [("relabelled", after, repr(before.label)) for before, after in found]
    rows += [("moved", after, before.split) for before, after in changes.moved]
    return [
        Finding(kind, row.name, row.split, row.label, f"was {was} in {release}")
        for kind, row, was in sorted(rows, key=lambda item: (item[0] == "moved", item[1].name))
    ]
