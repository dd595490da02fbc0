"""What `compare` says of the images: how many, what became of them, and what changed by class."""

import dataclasses
import re
from collections import Counter, defaultdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from components.base.refusal import ConfigError
from components.data import image_index
from components.data.image_changes import Changes, changes
from components.sources.source import SPLITS

MOST = 20
"""Classes that are listed, those with most changes."""

_COUNTS = {
    "quarantined": "quarantined",
    "duplicates": "duplicates dropped",
    "copies": "copies inside a split",
    "near_duplicates": "look-alikes",
    "conflicting_labels": "conflicting labels",
}
_FEATURES = {
    "mean": "brightness",
    "std": "contrast",
    "height": "size",
    "width": "size",
    "channels": "channels",
    "class_name": "class shares",
}


def images_table(verdicts: dict[str, dict]) -> Table | None:
    """Images of each split, what was set aside, and the drift since the release that a run was
    compared with; None where no run got as far as its data."""
    known = {letter: verdict for letter, verdict in verdicts.items() if verdict.get("data")}
    if not known:
        return None
    table = Table("images")
    for letter in known:
        table.add_column(letter, justify="right")
    for split in SPLITS:
        totals = (sum(v["data"]["splits"].get(split, {}).values()) for v in known.values())
        table.add_row(split, *(f"{total:,}" for total in totals))
    for key, words in _COUNTS.items():
        counts = [verdict["data"].get(key, 0) for verdict in known.values()]
        if any(counts):
            table.add_row(words, *(f"{count:,}" for count in counts))
    drifts = [drift(verdict.get("gates", [])) for verdict in known.values()]
    for feature in dict.fromkeys(_FEATURES.values()):
        if any(feature in found for found in drifts):
            table.add_row(f"drift of {feature}", *(found.get(feature, "") for found in drifts))
    return table


def drift(gates: list[dict]) -> dict[str, str]:
    """The largest drift of each feature among the splits, and since which release."""
    largest: dict[str, tuple[float, str]] = {}
    for gate in gates:
        name = re.fullmatch(r"drift_(?:train|val|test)_(\w+)", gate["name"])
        if name and name[1] in _FEATURES:
            release = re.search(r"from (release \d+)", gate["expected"])
            value = float(gate["received"].split()[0])
            words = f"{value:.3f}" + (f" since {release[1]}" if release else "")
            feature = _FEATURES[name[1]]
            largest[feature] = max(largest.get(feature, (value, words)), (value, words))
    return {feature: words for feature, (_, words) in largest.items()}


def changes_between(first: Path, second: Path) -> Changes | None:
    """Of the images of two runs' directories, or None: runs of earlier versions kept no index.

    Raises ConfigError for an index that cannot be read.
    """
    paths = [directory / image_index.INDEX for directory in (first, second)]
    if not all(path.is_file() for path in paths):
        return None
    try:
        return changes(*map(image_index.read, paths))
    except ValueError as error:
        raise ConfigError(str(error)) from error


@dataclasses.dataclass
class _Class:
    """What changed in one class; `gone` and `come` count relabelled images by the other class."""

    added: int = 0
    removed: int = 0
    moved: int = 0
    gone: Counter[str] = dataclasses.field(default_factory=Counter)
    come: Counter[str] = dataclasses.field(default_factory=Counter)

    def total(self) -> int:
        return self.added + self.removed + self.moved + self.gone.total() + self.come.total()

    def relabelled(self) -> str:
        ways = [(count, f"to {name!r}") for name, count in self.gone.most_common()]
        ways += [(count, f"from {name!r}") for name, count in self.come.most_common()]
        return ", ".join(f"{count:,} {way}" for count, way in ways)


def classes_table(first: dict, second: dict, changed: Changes | None) -> Table | str:
    """The classes whose images are not the same in both runs' `data`, A and B, those with most
    changes first; or that there are none.

    Without `changed` (see `changes_between`) the classes are told apart by their numbers alone.
    """
    before, after = _by_class(first), _by_class(second)
    if changed is None:
        found = {
            name: _Class(added=abs(sum(after.get(name, ())) - sum(before.get(name, ()))))
            for name in before | after
            if before.get(name) != after.get(name)
        }
    else:
        found = _by_change(changed)
    if not found:
        what = "as many of each class and split" if changed is None else "the same pictures"
        return f"Images    {what} in both runs"
    listed = sorted(found, key=lambda name: (-found[name].total(), name))[:MOST]
    more = f"; {len(found) - MOST:,} more classes changed" if len(found) > MOST else ""
    table = Table("class", caption=f"images in train/val/test{more}", caption_justify="left")
    for letter in "AB":
        table.add_column(letter, justify="right")
    if changed is not None:
        table.add_column("added", justify="right")
        table.add_column("removed", justify="right")
        table.add_column("relabelled", overflow="fold")
    for name in listed:
        cells = [_counts(before.get(name)), _counts(after.get(name))]
        if changed is not None:
            own = found[name]
            cells += [f"{own.added:,}", f"{own.removed:,}", own.relabelled()]
        table.add_row(Text(name), *(Text("" if cell == "0" else cell) for cell in cells))
    return table


def _by_class(data: dict) -> dict[str, tuple[int, ...]]:
    """Each class's images in train, val and test."""
    splits = [data["splits"].get(split, {}) for split in SPLITS]
    names = dict.fromkeys(name for split in splits for name in split)
    return {name: tuple(split.get(name, 0) for split in splits) for name in names}


def _by_change(changed: Changes) -> dict[str, _Class]:
    found: dict[str, _Class] = defaultdict(_Class)
    for row in changed.added:
        found[row.label].added += 1
    for row in changed.removed:
        found[row.label].removed += 1
    for before, after in changed.both:
        if before.label != after.label:
            found[before.label].gone[after.label] += 1
            found[after.label].come[before.label] += 1
        elif before.split != after.split:
            found[after.label].moved += 1
    return dict(found)


def _counts(splits: tuple[int, ...] | None) -> str:
    return "none" if splits is None else "/".join(f"{count:,}" for count in splits)
