"""How a listing of files becomes classes and splits: one rule for folders and archives alike.

One folder per class, optionally under train, val and test; class folders are searched to any depth.
Every file is accounted for: it is placed in a class, reported as lying outside of one, or named
among the ignored. Nothing is opened here.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from components.base.refusal import DataRefused
from components.sources.source import SPLIT_NAMES
from serving.contract.clutter import is_clutter
from serving.contract.magic import FORMATS, identify

OUTSIDE_ARCHIVE = "path_outside_archive"
_JOINERS = dict.fromkeys((0x200C, 0x200D))  # part of Persian and Indic words, and of emoji


class Entry(NamedTuple):
    """A file as listed: `path` is relative with `/`, undecodable bytes are surrogates in it.

    `problem` says why it is not to be opened, `place` is where an archive keeps it, `size` is in
    bytes as far as the listing knows it. `split` and `label` are filled in by `arrange`.
    """

    path: str
    problem: str | None = None
    place: int = 0
    size: int = 0
    split: str | None = None
    label: int = -1

    @property
    def raw_path(self) -> bytes:
        return self.path.encode("utf-8", "surrogateescape")


@dataclasses.dataclass(frozen=True)
class Layout:
    """`entries` with their labels and splits; what lies outside of a class has label -1."""

    labels: tuple[str, ...]
    splits: frozenset[str]
    entries: list[Entry]
    ignored: tuple[str, ...]


def arrange(
    source: str,
    folders: Iterable[str],
    entries: Iterable[Entry],
    head: Callable[[Entry], bytes],
    unwrap: bool,
) -> Layout:
    """Splits, labels and the place of every entry.

    `source` is what messages call it; `head` gives the first bytes of an entry; `unwrap` descends
    into a top folder that is alone and holds nothing but folders, as archives usually have.

    Raises DataRefused where there are no images, fewer than two classes, a class name that is no
    text, or split and class folders side by side.
    """
    inside, outside, ignored = [], [], set()
    hidden = functools.cache(_clutter)
    for entry in entries:
        parent, slash, name = entry.path.rpartition("/")
        if entry.problem == OUTSIDE_ARCHIVE:
            outside.append(entry)
        elif clutter := hidden(parent) or (is_clutter(name) and parent + slash + name):
            ignored.add(clutter)
        else:
            inside.append(entry)
    holding = {_parent(entry.path) for entry in inside}
    children = _children({f for f in folders if not _clutter(f)} | holding)
    top = _top(children, holding) if unwrap else ""
    roots = _split_roots(source, top, children)
    labels = tuple(sorted({name for root in roots for name in children[root]}))
    _require_text(source, labels)
    classes = {
        _join(root, name): (split, label)
        for root, split in roots.items()
        for label, name in enumerate(labels)
    }
    depth = min(_join(root, "class").count("/") for root in roots) + 1
    placed = []
    for entry in inside:
        parts = entry.path.split("/", depth)
        if len(parts) > depth:
            # Not `_replace`, which takes three times as long: there may be millions.
            placed.append(Entry(*entry[:4], *classes["/".join(parts[:depth])]))
            continue
        entry = entry._replace(split=roots.get(_parent(entry.path)))
        if entry.problem:
            outside.append(entry)
        elif identify(head(entry)) in FORMATS:
            outside.append(entry._replace(problem="outside_class_folder"))
        else:
            ignored.add(entry.path)
    _require_classes(source, top, labels, children, len(placed), len(outside), unwrap)
    ordered = tuple(sorted(map(readable, ignored)))
    return Layout(labels, frozenset(s for s in roots.values() if s), placed + outside, ordered)


def readable(path: str) -> str:
    """A path for people: what is no UTF-8 in it is written with escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _clutter(path: str) -> str:
    """The part of a path through its first folder or name that is clutter, or nothing."""
    parts = path.split("/")
    for number, part in enumerate(parts):
        if is_clutter(part):
            return "/".join(parts[: number + 1])
    return ""


def _children(folders: Iterable[str]) -> dict[str, set[str]]:
    """Names of the folders in each folder; archives need not name the folders above a file."""
    children: dict[str, set[str]] = collections.defaultdict(set)
    for path in folders:
        while path:
            parent, _, name = path.rpartition("/")
            if name in children[parent]:
                break
            children[parent].add(name)
            path = parent
    return children


def _top(children: dict[str, set[str]], holding: set[str]) -> str:
    """The folder below all wrapping ones: those that are alone, with no file beside them."""
    top = ""
    while len(children[top]) == 1 and top not in holding:
        (name,) = children[top]
        if name.lower() in SPLIT_NAMES or not children[_join(top, name)]:
            break
        top = _join(top, name)
    return top


def _split_roots(source: str, top: str, children: dict[str, set[str]]) -> dict[str, str | None]:
    """`{top: None}`, or the folders of the splits where all subfolders are named like that.

    Raises DataRefused where the two are mixed: which images are meant could only be guessed.
    """
    names = sorted(children[top])
    _require_text(source, names)
    own = {name: SPLIT_NAMES[name.lower()] for name in names if name.lower() in SPLIT_NAMES}
    if not any(children[_join(top, name)] for name in own):
        return {top: None}
    if len(own) < len(names) or len(set(own.values())) < len(own) or "train" not in own.values():
        raise DataRefused(
            f"{source} has the subfolders {', '.join(names)}: expected either one per "
            "class, or train and optionally val and test (once each) with the classes inside."
        )
    return {_join(top, name): split for name, split in own.items()}


def _require_text(source: str, names: Iterable[str]) -> None:
    for name in names:
        if not name.translate(_JOINERS).isprintable():
            raise DataRefused(
                f"Folder name {name!r} in {source} is not printable text (UTF-8): it "
                "would become a class name; rename it."
            )


def _require_classes(
    source: str,
    top: str,
    labels: tuple[str, ...],
    children: dict[str, set[str]],
    placed: int,
    outside: int,
    unwrap: bool,
) -> None:
    if not placed:
        loose = f" ({outside} files lie outside of any)" if outside else ""
        raise DataRefused(
            f"No images in {source}: expected one subfolder per class with "
            f"JPEG, PNG, GIF, BMP, WEBP or TIFF files in it{loose}."
        )
    if len(labels) < 2:
        hint = "a classifier needs at least two subfolders, one per class."
        if children[_join(top, labels[0])]:
            hint = (
                "files lie beside it, so that its subfolders are not taken for the classes."
                if unwrap
                else f"it has subfolders itself; did you mean {source}/{labels[0]}?"
            )
        raise DataRefused(f"Only one class ({labels[0]!r}) in {source}: {hint}")
