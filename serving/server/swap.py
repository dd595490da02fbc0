"""Follows the release store: what is current or labelled there is served here, soon after.

A version is loaded, checked and warmed up beside the one that serves; then one assignment replaces
it. Requests under way keep the version that they began with. A version that cannot be served leaves
the one before in place.
"""

import asyncio
import dataclasses
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.inference.errors import NotServable, ServingError
from serving.inference.model import Model
from serving.server.batching import Batcher, Cost, cost
from serving.server.dataplane import Dataplane, Served, Version
from serving.server.log import log
from serving.server.statistics import Statistics
from serving.store.release import Release, StoreError
from serving.store.store import Store

POLL_SECONDS = 0.5
RETRY_SECONDS = 30.0
"""Before a version that could not be loaded is tried again."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """A model to serve: its current and its labelled versions, or a pinned one alone."""

    name: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Selection":
        """NAME or NAME@VERSION. Raises ValueError."""
        name, at, version = text.partition("@")
        if at and not (version.isdecimal() and int(version)):
            raise ValueError(f"{text!r} is no model, expected NAME or NAME@VERSION")
        return cls(name, int(version) if at else None)


class Follower:
    """Keeps `dataplane.served` at what the store says of the selected models, all of them if none
    is selected; with `public_key` only what was signed with its private key."""

    def __init__(
        self,
        store: Store,
        selections: list[Selection],
        dataplane: Dataplane,
        format: str = "onnx",
        public_key: Path | None = None,
    ):
        self._store = store
        self._selections = selections
        self._dataplane = dataplane
        self._format = format
        self._public_key = public_key
        self._unloaded: set[str] = set()
        self._failed: dict[tuple[str, int], float] = {}
        self._damaged: set[str] = set()
        self._loader = ThreadPoolExecutor(1, "load")
        self._turn = asyncio.Lock()
        self._unreadable = ""

    async def start(self) -> None:
        """Loads the first models.

        Raises StoreError when one is not in the store, NotServable when one cannot be served.
        """
        if not self._selections and not self._store.models():
            self._store.select()  # says what is missing
        for selection in self._selections:
            if selection.version is None:
                self._store.select(selection.name)
            else:
                self._store.release(selection.name, selection.version)
        await self._update(strict=True)

    async def follow(self) -> None:
        """Looks at the store twice a second, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._update()
                self._unreadable = ""
            except Exception as error:  # noqa: BLE001 - whatever lies in the store: others go on
                if str(error) != self._unreadable:  # said once, not twice a second
                    self._unreadable = str(error)
                    log("store_unreadable", error=self._unreadable[:1000])

    async def load(self, name: str) -> None:
        """Serves (again) what the store says of `name`. Raises NotServable or StoreError."""
        self._store.select(name)
        self._unloaded.discard(name)
        if self._selections and name not in {selection.name for selection in self._selections}:
            self._selections.append(Selection(name))
        self._failed = {key: at for key, at in self._failed.items() if key[0] != name}
        await self._update(strict=True, only=name)

    async def unload(self, name: str) -> None:
        """Stops serving `name` until it is loaded again."""
        self._dataplane.served_model(name)
        self._unloaded.add(name)
        await self._update()

    def available(self) -> list[str]:
        """Names of all models that could be served."""
        return self._store.models()

    def close(self) -> None:
        """Ends the thread."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def _update(self, strict: bool = False, only: str | None = None) -> None:
        async with self._turn:
            loop = asyncio.get_running_loop()
            wanted = await loop.run_in_executor(self._loader, self._wanted)
            for name in self._dataplane.served.keys() - wanted.keys():
                self._replace(name, None)
            for name, releases in wanted.items():
                if only not in (None, name):
                    continue
                if not isinstance(releases, StoreError):
                    self._damaged.discard(name)
                    await self._update_model(name, *releases, strict)
                elif strict:
                    raise releases
                elif name not in self._damaged:  # what is served of it goes on
                    self._damaged.add(name)
                    log("store_unreadable", model=name, error=str(releases))

    def _wanted(self) -> dict[str, tuple[Release, dict[str, Release]] | StoreError]:
        """By model: the release to serve by default and the labelled ones, or what is wrong with
        its part of the store."""
        chosen = self._selections or [Selection(name) for name in self._store.names()]
        wanted: dict[str, tuple[Release, dict[str, Release]] | StoreError] = {}
        for selection in chosen:
            if selection.name in self._unloaded:
                continue
            try:
                if selection.version is not None:
                    release = self._store.release(selection.name, selection.version)
                    wanted[selection.name] = release, {}
                elif (current := self._store.current(selection.name)) is not None:
                    wanted[selection.name] = current, self._store.labels(selection.name)
            except StoreError as error:
                wanted[selection.name] = error
        return wanted

    async def _update_model(
        self, name: str, default: Release, labelled: dict[str, Release], strict: bool
    ) -> None:
        before = self._dataplane.served.get(name)
        known = dict(before.versions) if before else {}
        for release in [default, *labelled.values()]:
            if str(release.version) not in known:
                version = await self._load(release, strict)
                if version is not None:
                    known[str(release.version)] = version
        serving = known.get(str(default.version)) or (before.default if before else None)
        if serving is None:
            return
        labels = {
            label: str(release.version)
            for label, release in labelled.items()
            if str(release.version) in known
        }
        keep = {serving.model.version, *labels.values()}
        versions = {number: version for number, version in known.items() if number in keep}
        after = Served(name, serving, versions, labels)
        if after != before:
            self._replace(name, after)

    async def _load(self, release: Release, strict: bool) -> Version | None:
        key = release.name, release.version
        if not strict and time.monotonic() < self._failed.get(key, 0.0):
            return None
        loop = asyncio.get_running_loop()
        metrics = self._dataplane.metrics
        try:
            load = functools.partial(_open, release, self._format, self._public_key)
            model, measured = await loop.run_in_executor(self._loader, load)
        except (ServingError, OSError, MemoryError) as error:
            first = key not in self._failed
            self._failed[key] = time.monotonic() + RETRY_SECONDS
            metrics.load(release.name, "failed")
            if strict:
                raise
            if first:
                log("load_failed", model=release.name, version=release.version, error=str(error))
            return None
        self._failed.pop(key, None)
        metrics.load(release.name, "loaded")
        return self._version(model, measured)

    def _version(self, model: Model, measured: Cost | None) -> Version:
        dataplane, statistics = self._dataplane, Statistics()

        def observe(images: int, waited: list[float], seconds: float) -> None:
            statistics.batch(images, waited, seconds)
            dataplane.metrics.batch(model.name, model.version, images)

        batcher = Batcher(
            model,
            dataplane.inferences,
            dataplane.workers if model.provider == "CPU" else 1,
            dataplane.limits.queue,
            dataplane.limits.delay_seconds,
            measured,
            observe,
        )
        return Version(model, batcher, statistics)

    def _replace(self, name: str, after: Served | None) -> None:
        served, metrics = dict(self._dataplane.served), self._dataplane.metrics
        before = served.pop(name, None)
        if after is not None:
            served[name] = after
        self._dataplane.served = served
        for number in (before.versions if before else {}).keys() - (
            after.versions if after else {}
        ).keys():
            metrics.loaded.labels(name, number).set(0)
        for number in after.versions if after else ():
            metrics.loaded.labels(name, number).set(1)
        metrics.current.labels(name).set(int(after.default.model.version) if after else 0)
        log(
            "serves" if after else "unloaded",
            model=name,
            **({"version": after.default.model.version} if after else {}),
            **({"before": before.default.model.version} if before else {}),
            **({"labels": dict(after.labels)} if after and after.labels else {}),
        )


def _open(release: Release, format: str, public_key: Path | None) -> tuple[Model, Cost | None]:
    try:
        model = Model(release, threads=1, format=format, public_key=public_key)
        return model, cost(model)
    except (ServingError, OSError, MemoryError):
        raise
    except Exception as error:  # ONNX Runtime's own exception types are not public
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:500]
        which = f"version {release.version} of {release.name}"
        raise NotServable(f"{which} cannot be served: {reason}") from error
