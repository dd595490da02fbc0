"""The model repository extension: what could be served, and clients that load and unload it."""

import asyncio

from serving.inference.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    NotOffered,
    NotServable,
    Unavailable,
)
from serving.server import descriptions
from serving.server.dataplane import Dataplane, Version
from serving.server.swap import Follower
from serving.store.release import StoreError


class Repository:
    """`allow_load`: whether clients may load and unload models."""

    def __init__(self, dataplane: Dataplane, follower: Follower, allow_load: bool):
        self._dataplane = dataplane
        self._follower = follower
        self._allow_load = allow_load

    def versions(self, name: str, version: str = "") -> list[Version]:
        """That version of a model, all that are served of it, or of every model without a name."""
        if name and version:
            return [self._dataplane.find(name, version)]
        models = [self._dataplane.served_model(name)] if name else self._dataplane.models()
        return [
            served.versions[number] for served in models for number in descriptions.numbers(served)
        ]

    async def index(self, ready_only: bool) -> list[dict]:
        """The models of a RepositoryIndexResponse."""
        available = await asyncio.to_thread(self._follower.available)
        return descriptions.index(self._dataplane, available, ready_only)

    async def load(self, repository: str, name: str, parameters: object) -> None:
        """Serves what the store has of the model, again if it was unloaded. Raises ServingError."""
        self._check(repository)
        if parameters:
            raise InvalidRequest(
                f"failed to load {name!r}: what is loaded is the store's release as it is, without"
                " parameters."
            )
        try:
            await self._follower.load(name)
        except StoreError as error:
            raise NotFound(f"failed to load {name[:100]!r}: {error}") from error
        except NotServable as error:
            raise Unavailable(f"failed to load {name!r}: {error}", "load") from error

    async def unload(self, repository: str, name: str) -> None:
        """Serves the model no longer. Raises ServingError."""
        self._check(repository)
        await self._follower.unload(name)

    def _check(self, repository: str) -> None:
        if repository:
            raise NotOffered("there is one model repository, which has no name.")
        if not self._allow_load:
            raise Forbidden(
                "explicit model load / unload is not allowed: the server follows the release store;"
                " start it with --allow-load."
            )
