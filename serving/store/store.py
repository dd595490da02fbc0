"""The release store: immutable, hashed, atomically published and reversible model releases.

    <root>/models.config, batching.config           what TensorFlow Serving reads
    <root>/models/<name>/<version>/                 a release, see serving/store/release.py
    <root>/models/<name>/current -> <version>
    <root>/models/<name>/history.jsonl              lines of {"event", "version", "time"}, "label"
    <root>/models/<name>/config.pbtxt               what Triton reads
    <root>/.lock, .staging-*, .tmp-*                work in progress, outside what servers watch

Standard library only. How a publish survives being killed at any moment: history.jsonl is a
write-ahead log. A version becomes real when its directory, complete and flushed, is renamed into
place; events whose directory is not there never happened. Everything else (`current` and the
configuration files) follows from replaying the log, and is brought up to date by `_synchronise`
whenever the store is opened for writing.

    python -m serving.store COMMAND [MODEL ...] [--root out]
"""

import contextlib
import datetime
import difflib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from serving.contract.release_files import (
    CONTRACT,
    FORMATS,
    MANIFEST,
    UNLISTED,
    Format,
    formats_of,
)
from serving.store import config_files, files
from serving.store.history import Event, currents, labels, line, read, write
from serving.store.release import Release, StoreError, verify_directory

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


class Store:
    """The store at `root` (the output root's `serving` directory). Reading creates nothing."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self._models = self.root / "models"

    # Reading: no lock is needed, because every step a writer makes visible is one rename.

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
        directory = self._directory(name)
        versions = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            versions = [int(n) for n in os.listdir(directory) if _VERSION.fullmatch(n)]
        return [self._release(name, version) for version in sorted(versions)]

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
                raise StoreError(_unknown("model", name, self.models()))
            raise StoreError(_unknown(f"version of {name}", str(version), map(str, versions)))
        return self._release(name, version)

    def labels(self, name: str) -> dict[str, Release]:
        """The labelled releases of the model `name`, by label."""
        found = labels(self._events(name), self._present(name))
        return {label: self._release(name, version) for label, version in found.items()}

    def history(self, name: str) -> list[Event]:
        """Which version became current when, by a publish or a rollback; oldest first."""
        return currents(self._events(name), self._present(name))

    def current_at(self, name: str, moment: datetime.datetime) -> Release | None:
        """The release that was current at `moment`, None before the first."""
        before = [event for event in self.history(name) if event.moment <= moment]
        return self._release(name, before[-1].version) if before else None

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
            raise StoreError(_unknown("model", name, names))
        return release

    # Writing.

    def publish(self, name: str, directory: str | Path) -> Release:
        """Copies a verified release directory into the store and makes it current.

        The source is left as it is. Raises StoreError when a file of it does not match its
        manifest.json, the manifest names another model, or the contract cannot be served.
        """
        source, target = Path(directory), self._directory(name)
        names = verify_directory(source)
        self._check_source(name, source)
        with self._staging() as staging:
            _copy(source, staging, [*names, *(n for n in UNLISTED if (source / n).exists())])
            verify_directory(staging)  # what was read back, not what was meant to be written
            with self._writing():
                files.make_directory(target)
                version = 1 + max([0, *self._used_versions(name)])
                self._append(name, Event.now("publish", version))
                os.rename(staging, target / str(version))
                files.sync_directory(target)
                self._synchronise()
        return self._release(name, version)

    def rollback(self, name: str, version: int | None = None) -> Release:
        """Makes `version` current again, or the release that was current before this one.

        Repeated without a version it walks further back; it never returns to a release that was
        rolled back from. Raises StoreError when there is no such release or none before.
        """
        self._directory(name)
        if name not in self.models():
            raise StoreError(_unknown("model", name, self.models()))
        with self._writing():
            line = self._line(name)
            if version is None:
                if len(line) < 2:
                    raise StoreError(f"{name} has nothing before version {line[-1]}.")
                version = line[-2]
            release = self.release(name, version)
            if version != line[-1]:
                release.verify()
                self._append(name, Event.now("rollback", version))
                self._synchronise()
        return release

    def label(self, name: str, label: str, version: int) -> Release:
        """Lets `label` (`stable`, `canary`...) name that release from now on.

        Raises StoreError when there is no such release or the label is not usable.
        """
        if not _LABEL.fullmatch(label):
            raise StoreError(
                f"label {label!r} is not usable: expected up to 100 letters, digits, '_', '-' and"
                " '.', beginning with a letter."
            )
        with self._writing():
            release = self.release(name, version)
            if self.labels(name).get(label) != release:
                release.verify()
                self._append(name, Event.now("label", version, label))
                self._synchronise()
        return release

    def unlabel(self, name: str, label: str) -> None:
        """Takes the label away. Raises StoreError when there is no such label."""
        with self._writing():
            labels = self.labels(name)
            if label not in labels:
                raise StoreError(_unknown(f"label of {name}", label, labels))
            self._append(name, Event.now("unlabel", labels[label].version, label))
            self._synchronise()

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

    def _check_source(self, name: str, source: Path) -> None:
        release = Release(name, 1, source)
        named = release.manifest().get("model", name)
        if named != name:
            raise StoreError(f"{source / MANIFEST} is of model {named!r}, expected {name!r}.")
        try:
            config_files.triton_model(name, 1, release.contract())
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{source / CONTRACT} cannot be served: {error!r}.") from error

    def _events(self, name: str) -> list[Event]:
        return read(self._directory(name) / "history.jsonl")

    def _present(self, name: str) -> set[int]:
        return {release.version for release in self.releases(name)}

    def _line(self, name: str) -> list[int]:
        return line(self._events(name), self._present(name))

    def _used_versions(self, name: str) -> list[int]:
        """Also those that a killed publish announced: a number is never given out twice."""
        announced = [event.version for event in self._events(name)]
        return announced + [release.version for release in self.releases(name)]

    def _append(self, name: str, event: Event) -> None:
        text = write([*self._events(name), event])
        files.replace_text(self._directory(name) / "history.jsonl", text, self.root)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """The only writer, in a store repaired after whoever was killed before."""
        try:
            files.make_directory(self._models)
            with files.locked(self.root / ".lock"):
                self._remove_leftovers()
                self._synchronise()
                yield
        except OSError as error:
            raise StoreError(f"the release store cannot be written: {error}") from error

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        """A directory beside `models`, locked so that no other writer takes it for a leftover."""
        with self._writing():
            path = self.root / f".staging-{secrets.token_hex(8)}"
            path.mkdir()
            descriptor = files.lock_directory(path)
            assert descriptor is not None, "whoever looks for leftovers waits for this writer"
        try:
            yield path
        except OSError as error:
            raise StoreError(f"the release cannot be copied into the store: {error}") from error
        finally:
            shutil.rmtree(path, ignore_errors=True)  # it is gone after a successful rename
            os.close(descriptor)

    def _remove_leftovers(self) -> None:
        for path in self.root.glob(".tmp-*"):
            path.unlink()
        for path in self.root.glob(".staging-*"):
            with contextlib.suppress(FileNotFoundError):  # its live owner just removed it
                descriptor = files.lock_directory(path)
                if descriptor is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(descriptor)

    def _synchronise(self) -> None:
        """Brings `current` and the servers' files to what the history says; writes only changes."""
        models = {}
        for name in self.models():
            release = self.current(name)
            assert release is not None, "models() lists those that have one"
            labels = self.labels(name)
            if _in_saved_model(release):
                labelled = {k: v.version for k, v in labels.items() if _in_saved_model(v)}
                models[name] = config_files.Pinned.of(release.version, labelled)
            directory = self._directory(name)
            files.replace_link(directory / "current", str(release.version), self.root)
            # A release damaged since must not stop the publish or the rollback that repairs it.
            with contextlib.suppress(KeyError, TypeError, ValueError):  # a StoreError is one
                files.replace_text(directory / "config.pbtxt", triton(release, labels), self.root)
        batching = config_files.tf_serving_batching()
        files.replace_text(self.root / "batching.config", batching, self.root)
        text = config_files.tf_serving_models(models)
        files.replace_text(self.root / "models.config", text, self.root)


def triton(release: Release, labels: Mapping[str, Release]) -> str:
    """`config.pbtxt` of that release and of the labelled ones that it is true of.

    Raises KeyError, TypeError or ValueError when the release cannot be served.
    """
    contract = release.contract()
    alike = {
        label: other.version
        for label, other in labels.items()
        if config_files.alike(contract, _contract(other))
    }
    pinned = config_files.Pinned.of(release.version, alike)
    return config_files.triton_model(release.name, release.version, contract, pinned.versions)


def _contract(release: Release) -> dict:
    """Of a damaged release, none: it stops nothing, and nothing is alike."""
    try:
        return release.contract()
    except StoreError:
        return {}


def _in_saved_model(release: Release) -> bool:
    return any(row.directory for row in _formats(release))


def _formats(release: Release) -> list[Format]:
    """What the model is in. Releases that do not say, or are damaged, are taken to be whole."""
    try:
        return formats_of(release.manifest())
    except (StoreError, KeyError, TypeError):
        return list(FORMATS.values())


def _copy(source: Path, target: Path, names: list[str]) -> None:
    for name in names:
        files.make_directory((target / name).parent)
        files.copy_durably(source / name, target / name)
    for parent, _, _ in os.walk(target):
        files.sync_directory(Path(parent))


def _unknown(kind: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"released: {', '.join(names) or 'none'}."
    return f"unknown {kind} {name!r}: {hint}"
