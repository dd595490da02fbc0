"""The Open Inference Protocol v2 over gRPC, with Triton's extensions: `GRPCInferenceService`."""

import asyncio
from typing import Any

import grpc

from serving.inference.errors import NotFound, ServingError, Unavailable
from serving.server import descriptions, oip, oip_tensors
from serving.server.dataplane import Dataplane, Version
from serving.server.grpc_handlers import Call, Calls
from serving.server.protos.pool import filled, message
from serving.server.repository import Repository
from serving.server.swap import Follower

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
        self._repository = Repository(dataplane, follower, allow_load)

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
            parameters = {k: oip_tensors.value(p) for k, p in request.parameters.items()}
            oip.check_parameters(parameters, allowed=oip_tensors.ASKS_FOR_FINAL)
        count = oip_tensors.read_outputs(model, request)
        if call.large:
            images = await asyncio.to_thread(oip_tensors.read_input, model, request)
        else:
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
        versions = self._repository.versions(request.name, request.version)
        return filled(_Statistics, descriptions.statistics(versions))

    async def _index(self, request: Any, call: Call) -> Any:
        return filled(_Index, {"models": await self._repository.index(request.ready)})

    async def _load(self, request: Any, call: Call) -> Any:
        name, parameters = request.model_name, request.parameters
        await self._repository.load(request.repository_name, name, parameters)
        return _Loaded()

    async def _unload(self, request: Any, call: Call) -> Any:
        await self._repository.unload(request.repository_name, request.model_name)
        return _Unloaded()

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
