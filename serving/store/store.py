"""The release store: immutable, hashed, atomically published and reversible model releases.

    <root>/models.config, batching.config           what TensorFlow Serving reads
    <root>/models/<name>/<version>/                 a release, see serving/store/release.py
    <root>/models/<name>/current -> <version>
    <root>/models/<name>/history.jsonl              what happened, see serving/store/history.py
    <root>/models/<name>/config.pbtxt               what Triton reads
    <root>/.lock, .staging-*, .tmp-*                work in progress, outside what servers watch

Standard library only. How a change survives being killed at any moment: history.jsonl is a
write-ahead log. A version becomes real when its directory, complete and flushed, is renamed into
place; events whose directory is not there, and was not removed, never happened. Everything else
(`current` and the configuration files) follows from replaying the log, and is brought up to date by
`_synchronise` whenever the store is opened for writing.

    python -m serving.store COMMAND [MODEL ...] [--root out]
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from serving.contract.release_files import CONTRACT, MANIFEST, UNLISTED
from serving.store import config_files, derived_files, files
from serving.store.history import Event, Kind, lineages, removed, write
from serving.store.reader import Reader, unknown
from serving.store.release import Release, StoreError, verify_directory

_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


class Store(Reader):
    """The store at `root` (the output root's `serving` directory)."""

    def __init__(self, root: str | Path):
        super().__init__(root)
        self._is_writing = False

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
            lineage = self._lineage_of(staging)
            with self._writing():
                files.make_directory(target)
                version = 1 + max([0, *self._used_versions(name)])
                self._append(name, Event.now("publish", version, lineage=lineage))
                os.rename(staging, target / str(version))
                with _converted(
                    f"version {version} of {name} is released, but the files that tell servers so"
                    " cannot be written",
                    " `python -m serving.store repair` writes them.",
                ):
                    files.sync_directory(target)
                    self._synchronise()
        return self._release(name, version)

    def promote(self, name: str, version: int) -> Release:
        """Makes `version` current as if it were published now: a rollback returns to the one that
        was current before. Raises StoreError when there is no such release."""
        return self._make_current(name, version, "promote")

    def rollback(self, name: str, version: int | None = None) -> Release:
        """Makes `version` current again, or the release that was current before this one.

        Repeated without a version it walks further back; it never returns to a release that was
        rolled back from. Raises StoreError when there is no such release or none before.
        """
        self._check_known(name)
        with self._writing():
            line = self._line(name)
            if version is None:
                if len(line) < 2:
                    raise StoreError(f"{name} has nothing before version {line[-1]}.")
                version = line[-2]
            return self._make_current(name, version, "rollback")

    def prune(self, name: str, keep: int, spare: Collection[int] = ()) -> list[int]:
        """Removes all but the newest `keep` releases, and returns the versions that went.

        Those in `spare` stay, and so do the current one, the one that a rollback would return to
        and all that have a label. Their numbers are never given out again. Raises StoreError when
        `keep` is not positive.
        """
        if keep < 1:
            raise StoreError(f"{keep} releases cannot be kept, expected 1 or more.")
        self._check_known(name)
        with self._writing():
            present = sorted(self._present(name))
            labelled = {release.version for release in self.labels(name).values()}
            kept = {*present[-keep:], *self._line(name)[-2:], *labelled, *spare}
            gone = [version for version in present if version not in kept]
            if gone:
                known = lineages(self._events(name))
                of = {v: known.get(v) or self._lineage(name, v) for v in gone}
                self._append(name, *(Event.now("remove", v, lineage=of[v]) for v in gone))
                self._synchronise()
        return gone

    def repair(self) -> None:
        """Finishes what was interrupted: leftovers go, the servers' files follow the history."""
        with self._writing():
            pass

    def label(self, name: str, label: str, version: int) -> Release:
        """Lets `label` (`stable`, `canary`...) name that release from now on.

        Raises StoreError when there is no such release or the label is not usable.
        """
        if not _LABEL.fullmatch(label):
            raise StoreError(
                f"label {label!r} is not usable: expected up to 100 letters, digits, '_', '-' and"
                " '.', beginning with a letter."
            )
        self._check_known(name)
        with self._writing():
            release = self.release(name, version)
            if self.labels(name).get(label) != release:
                release.verify()
                self._append(name, Event.now("label", version, label))
                self._synchronise()
        return release

    def unlabel(self, name: str, label: str) -> None:
        """Takes the label away. Raises StoreError when there is no such label."""
        self._check_known(name)
        with self._writing():
            labels = self.labels(name)
            if label not in labels:
                raise StoreError(unknown(f"label of {name}", label, labels))
            self._append(name, Event.now("unlabel", labels[label].version, label))
            self._synchronise()

    # How it is done.

    def _check_source(self, name: str, source: Path) -> None:
        release = Release(name, 1, source)
        named = release.manifest().get("model", name)
        if named != name:
            raise StoreError(f"{source / MANIFEST} is of model {named!r}, expected {name!r}.")
        try:
            config_files.triton_model(name, 1, release.contract())
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{source / CONTRACT} cannot be served: {error!r}.") from error

    def _check_known(self, name: str) -> None:
        """Before anything is written: a wrong --root must not become a store."""
        if not self._line(name):
            raise StoreError(unknown("model", name, self.models()))

    def _make_current(self, name: str, version: int, how: Kind) -> Release:
        self._check_known(name)
        with self._writing():
            release = self.release(name, version)
            if version != self._line(name)[-1]:
                release.verify()
                self._append(name, Event.now(how, version))
                self._synchronise()
        return release

    def _used_versions(self, name: str) -> list[int]:
        """Also those that a killed publish announced: a number is never given out twice."""
        return [event.version for event in self._events(name)] + self._directories(name)

    def _append(self, name: str, *events: Event) -> None:
        text = write([*self._events(name), *events])
        files.replace_text(self._directory(name) / "history.jsonl", text, self.root)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """The only writer, in a store repaired after whoever was killed before; others wait.

        What is decided within it by what the store holds is still true when it is done. Raises
        StoreError when the store cannot be written.
        """
        if self._is_writing:
            yield
            return
        with contextlib.ExitStack() as stack:
            with _converted("the release store cannot be written"):
                files.make_directory(self._models)
                stack.enter_context(files.locked(self.root / ".lock"))
                self._is_writing = True
                stack.callback(setattr, self, "_is_writing", False)
                self._remove_leftovers()
                self._synchronise()
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self.exclusive(), _converted("the release store cannot be written"):
            yield

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        """A directory beside `models`, locked so that no other writer takes it for a leftover."""
        with contextlib.ExitStack() as stack:
            with self._writing():
                path = stack.enter_context(self._locked_directory())
            with _converted("the release cannot be copied into the store"):
                yield path

    @contextlib.contextmanager
    def _locked_directory(self) -> Iterator[Path]:
        path = self.root / f".staging-{secrets.token_hex(8)}"
        path.mkdir()
        descriptor = files.lock_directory(path)
        assert descriptor is not None, "whoever looks for leftovers waits for this writer"
        try:
            yield path
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
        """Does what the history says: removals, the link and the servers' files."""
        for name in self.names():
            for version in sorted(removed(self._events(name)) & set(self._directories(name))):
                self._take_away(name, version)
        models = {name: self._state(name) for name in self.models()}
        derived_files.write(self.root, models)

    def _state(self, name: str) -> derived_files.State:
        release = self.current(name)
        assert release is not None, "models() lists those that have one"
        return derived_files.State(release, self.labels(name))

    def _take_away(self, name: str, version: int) -> None:
        """In one rename, as a release came: nobody sees half of it."""
        with self._locked_directory() as staging:
            os.rename(self._release(name, version).path, staging / str(version))
            files.sync_directory(self._directory(name))


@contextlib.contextmanager
def _converted(what: str, then: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error}.{then}") from error


def _copy(source: Path, target: Path, names: list[str]) -> None:
    for name in names:
        files.make_directory((target / name).parent)
        files.copy_durably(source / name, target / name)
    for parent, _, _ in os.walk(target):
        files.sync_directory(Path(parent))
