"""What a release store holds, and what its history says. Standard library only."""

import contextlib
import datetime
import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from serving.store.history import (
    Event,
    currents,
    labels,
    line,
    lineages,
    read,
    removed,
    rolled_back,
)
from serving.store.release import Release, StoreError

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


class Reader:
    """Reads the store at `root` (the output root's `serving` directory).

    It creates nothing, and needs no lock: every step a writer makes visible is one rename.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self._models = self.root / "models"

    def models(self) -> list[str]:
        """Names of the models that have a current release, sorted."""
        return [name for name in self.names() if self._line(name)]

    def names(self) -> list[str]:
        """Names of everything that looks like a model, whatever its state, sorted."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(n for n in os.listdir(self._models) if _MODEL_NAME.fullmatch(n))
        return []

    def releases(self, name: str) -> list[Release]:
        """Every complete release of the model `name`, oldest first; empty for an unknown model."""
        gone = removed(self._events(name))
        return [self._release(name, v) for v in self._directories(name) if v not in gone]

    def current(self, name: str) -> Release | None:
        """The release that servers should serve, or None when there is none."""
        line = self._line(name)
        return self._release(name, line[-1]) if line else None

    def line(self, name: str) -> list[Release]:
        """The releases that were current and were not rolled back from, oldest first, the current
        one last."""
        return [self._release(name, version) for version in self._line(name)]

    def release(self, name: str, version: int) -> Release:
        """That release. Raises StoreError when there is none."""
        versions = [release.version for release in self.releases(name)]
        if version not in versions:
            if not versions:
                raise StoreError(unknown("model", name, self.models()))
            raise StoreError(unknown(f"version of {name}", str(version), map(str, versions)))
        return self._release(name, version)

    def labels(self, name: str) -> dict[str, Release]:
        """The labelled releases of the model `name`, by label."""
        found = labels(self._events(name), self._present(name))
        return {label: self._release(name, version) for label, version in found.items()}

    def rolled_back(self, name: str) -> dict[int, str]:
        """The versions that were rolled back from and not made current again since, with the
        lineage of each, also of those that were removed; empty text where nothing says it."""
        events = self._events(name)
        known = lineages(events)
        found = sorted(rolled_back(events, self._known(name)))
        return {version: known.get(version) or self._lineage(name, version) for version in found}

    def history(self, name: str) -> list[Event]:
        """Which version became current when and by what, oldest first; also those removed since."""
        return currents(self._events(name), self._known(name))

    def current_at(self, name: str, moment: datetime.datetime) -> Event | None:
        """The event that made the version current which was so at `moment`; None before all."""
        before = [event for event in self.history(name) if event.moment <= moment]
        return before[-1] if before else None

    def select(self, name: str | None = None) -> Release:
        """The current release of the model `name`, or of the only one when None.

        Raises StoreError when there is no release, the name is unknown (naming the closest), or no
        name was given and there are several.
        """
        names = self.models()
        if not names:
            raise StoreError(f"there is no release in {self.root}: run `make demo`, or set --root.")
        if name is None and len(names) > 1:
            raise StoreError(
                f"several models are released ({', '.join(names)}): choose one with --model NAME."
            )
        name = names[0] if name is None else name
        if name not in names or (release := self.current(name)) is None:
            raise StoreError(unknown("model", name, names))
        return release

    # How it is done.

    def _directory(self, name: str) -> Path:
        if not _MODEL_NAME.fullmatch(name):
            raise StoreError(
                f"model name {name!r} is not usable: expected up to 100 letters, digits, '_', '-'"
                " and '.', beginning with a letter or digit."
            )
        return self._models / name

    def _release(self, name: str, version: int) -> Release:
        return Release(name, version, self._directory(name) / str(version))

    def _events(self, name: str) -> list[Event]:
        return read(self._directory(name) / "history.jsonl")

    def _directories(self, name: str) -> list[int]:
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = os.listdir(self._directory(name))
        return sorted(int(n) for n in names if _VERSION.fullmatch(n))

    def _present(self, name: str) -> set[int]:
        return {release.version for release in self.releases(name)}

    def _known(self, name: str) -> set[int]:
        """The versions that there are, and those that there were."""
        return self._present(name) | removed(self._events(name))

    def _line(self, name: str) -> list[int]:
        present = self._present(name)
        return [v for v in line(self._events(name), self._known(name)) if v in present]

    def _lineage(self, name: str, version: int) -> str:
        return self._lineage_of(self._release(name, version).path)

    @staticmethod
    def _lineage_of(directory: Path) -> str:
        """Empty where the manifest does not say it, or cannot be read."""
        with contextlib.suppress(StoreError):
            return str(Release("", 0, directory).manifest().get("lineage", ""))
        return ""


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"released: {', '.join(names) or 'none'}."
    return f"unknown {kind} {name!r}: {hint}"
