"""The Open Inference Protocol v2 over gRPC, with Triton's extensions: `GRPCInferenceService`."""

import asyncio
from typing import Any

import grpc

from serving.inference.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    NotOffered,
    NotServable,
    ServingError,
    Unavailable,
)
from serving.server import descriptions, oip_tensors
from serving.server.dataplane import Dataplane, Version
from serving.server.grpc_handlers import Call, Calls
from serving.server.protos.pool import filled, message
from serving.server.swap import Follower
from serving.store.release import StoreError

PROTOCOL = "oip_grpc"
SERVICE = "inference.GRPCInferenceService"

_NOT_OFFERED = {
    "SystemSharedMemory": "shared memory is not offered: send tensors in the request.",
    "CudaSharedMemory": "shared memory is not offered: send tensors in the request.",
    "TraceSetting": "tracing is not offered.",
    "LogSettings": "log settings cannot be changed while the server runs.",
}


class OpenInference:
    """The service. `allow_load`: whether clients may load and unload models."""

    def __init__(self, dataplane: Dataplane, follower: Follower, allow_load: bool):
        self._dataplane = dataplane
        self._follower = follower
        self._allow_load = allow_load

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler:
        """For a server's `add_generic_rpc_handlers`."""
        stream = calls.stream(self._infer, message("inference.ModelInferRequest"), _streamed)
        implemented = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "ModelStreamInfer": stream,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        return calls.service(SERVICE, implemented, _NOT_OFFERED)

    async def _infer(self, request: Any, call: Call) -> Any:
        call.identifier = request.id
        version = self._dataplane.find(request.model_name, request.model_version or None)
        call.version = version
        model = version.model
        if request.parameters:
            oip_tensors.check_parameters(request)
        count = oip_tensors.read_outputs(model, request)
        images = oip_tensors.read_input(model, request)
        if isinstance(images, list):
            probabilities = await self._dataplane.infer_encoded(version, images)
        else:
            probabilities = await version.batcher.infer(images)  # checked by now
        return oip_tensors.write_response(model, request, probabilities, count)

    async def _live(self, request: Any, call: Call) -> Any:
        return _ServerLive(live=True)

    async def _ready(self, request: Any, call: Call) -> Any:
        return _ServerReady(ready=self._dataplane.ready)

    async def _model_ready(self, request: Any, call: Call) -> Any:
        try:
            self._find(request)
        except (NotFound, Unavailable):  # a model that is not there is not ready, says Triton too
            return _ModelReady(ready=False)
        return _ModelReady(ready=self._dataplane.ready)

    async def _server_metadata(self, request: Any, call: Call) -> Any:
        return filled(_ServerMetadata, descriptions.server())

    async def _model_metadata(self, request: Any, call: Call) -> Any:
        found = self._find(request)
        served = self._dataplane.served_model(request.name)
        numbers = [request.version] if request.version else descriptions.numbers(served)
        return filled(_ModelMetadata, descriptions.metadata(found.model, numbers))

    async def _model_config(self, request: Any, call: Call) -> Any:
        return filled(_ModelConfig, {"config": descriptions.config(self._find(request))})

    async def _statistics(self, request: Any, call: Call) -> Any:
        name = request.name
        if name and request.version:
            versions = [self._find(request)]
        else:
            models = [self._dataplane.served_model(name)] if name else self._dataplane.models()
            versions = [
                served.versions[number]
                for served in models
                for number in descriptions.numbers(served)
            ]
        return filled(_Statistics, descriptions.statistics(versions))

    async def _index(self, request: Any, call: Call) -> Any:
        available = await asyncio.to_thread(self._follower.available)
        models = descriptions.index(self._dataplane, available, request.ready)
        return filled(_Index, {"models": models})

    async def _load(self, request: Any, call: Call) -> Any:
        self._may_load(request)
        name = request.model_name
        if request.parameters:
            raise InvalidRequest(
                f"failed to load {name!r}: what is loaded is the store's release as it is, without"
                " parameters."
            )
        try:
            await self._follower.load(name)
        except StoreError as error:
            raise InvalidRequest(f"failed to load {name!r}: {error}") from error
        except NotServable as error:
            raise Unavailable(f"failed to load {name!r}: {error}", "load") from error
        return _Loaded()

    async def _unload(self, request: Any, call: Call) -> Any:
        self._may_load(request)
        await self._follower.unload(request.model_name)
        return _Unloaded()

    def _may_load(self, request: Any) -> None:
        if request.repository_name:
            raise NotOffered("there is one model repository, which has no name.")
        if not self._allow_load:
            raise Forbidden(
                "explicit model load / unload is not allowed: the server follows the release store;"
                " start it with --allow-load."
            )

    def _find(self, request: Any) -> Version:
        return self._dataplane.find(request.name, request.version or None)


def _streamed(call: Call, result: Any) -> Any:
    """An error has its request's id too, so that the client knows which one it was."""
    if isinstance(result, ServingError):
        return _Streamed(error_message=str(result), infer_response={"id": call.identifier})
    return _Streamed(infer_response=result)


_ServerLive = message("inference.ServerLiveResponse")
_ServerReady = message("inference.ServerReadyResponse")
_ModelReady = message("inference.ModelReadyResponse")
_ServerMetadata = message("inference.ServerMetadataResponse")
_ModelMetadata = message("inference.ModelMetadataResponse")
_ModelConfig = message("inference.ModelConfigResponse")
_Statistics = message("inference.ModelStatisticsResponse")
_Index = message("inference.RepositoryIndexResponse")
_Loaded = message("inference.RepositoryModelLoadResponse")
_Unloaded = message("inference.RepositoryModelUnloadResponse")
_Streamed = message("inference.ModelStreamInferResponse")
