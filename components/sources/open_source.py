"""Opening the source that a configuration names."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from components.base.refusal import ConfigError
from components.sources.config import DataConfig
from components.sources.digits_source import DigitsSource
from components.sources.listed_source import ListedSource
from components.sources.source import Source

LISTED = ("folder", "tar", "zip")
S = TypeVar("S", bound=Source)

_kept: dict[tuple[str | None, ...], Any] | None = None


@contextlib.contextmanager
def listed_once() -> Iterator[None]:
    """Within it a source is listed when it is first opened, and whoever opens it again, from
    whatever thread, gets the same one: for the length of one command."""
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def open_listed(kind: str, path: str, anew: bool = False) -> ListedSource:
    """The folder or archive at `path`; `kind` is folder, tar or zip. `anew` has it listed again
    also within `listed_once`.

    Raises ConfigError where there is none, DataRefused where it cannot be trained on.
    """
    from components.sources.archive_source import TarSource, ZipSource
    from components.sources.folder_source import FolderSource

    kinds: dict[str, Callable[[str], ListedSource]] = {
        "folder": FolderSource,
        "tar": TarSource,
        "zip": ZipSource,
    }
    try:
        place = os.path.realpath(os.path.expanduser(path))
    except (OSError, ValueError):  # no file can be called that, as the source itself will say
        place = path
    return _opened_once((kind, place), lambda: kinds[kind](path), anew)


def open_source(config: DataConfig, anew: bool = False) -> Source:
    """The source that `config.source` names; `anew` as for `open_listed`.

    Raises ConfigError for an unknown source or an absent one, DataRefused for a folder or archive
    without images, with a single class, or damaged.
    """
    kind, _, rest = config.source.partition(":")
    if config.source == "digits":
        return DigitsSource()
    if kind in LISTED and rest:
        return open_listed(kind, rest, anew)
    if kind == "tfds" and rest:
        from components.sources.tfds_source import TfdsSource

        key = kind, rest, config.dir, config.label
        return _opened_once(key, lambda: TfdsSource(rest, config.dir, config.label), anew)
    raise ConfigError(
        f"Unknown data.source {config.source!r}: expected digits, tfds:NAME, folder:PATH, tar:PATH "
        "or zip:PATH."
    )


def _opened_once(key: tuple[str | None, ...], opened: Callable[[], S], anew: bool) -> S:
    if _kept is None or anew:
        return opened()
    if key not in _kept:
        _kept[key] = opened()
    return _kept[key]
