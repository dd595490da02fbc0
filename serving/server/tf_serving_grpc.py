"""TensorFlow Serving's gRPC services, `PredictionService` and `ModelService`, with its statuses."""

import asyncio
from typing import Any

import grpc

from serving.inference.errors import InvalidRequest
from serving.server import descriptions, tf_tensors
from serving.server.dataplane import Dataplane, Version
from serving.server.grpc_handlers import Call, Calls
from serving.server.protos.pool import filled, message
from serving.server.tf_serving_rest import SERVING_BYTES, SERVING_DEFAULT, signatures

PROTOCOL = "tf_serving_grpc"
PREDICTION, MODEL = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"

_EXAMPLES = (
    "models here take images, not tf.Example: use Predict with the signature"
    f" {SERVING_DEFAULT} or {SERVING_BYTES}."
)
_NOT_OFFERED = {
    "Classify": _EXAMPLES,
    "Regress": _EXAMPLES,
    "MultiInference": _EXAMPLES,
    "HandleReloadConfigRequest": "this server follows the release store, it takes no configuration"
    " from clients.",
}
_FIELD = "signature_def"
"""The only metadata field there is."""


class TensorFlowServing:
    """Both services."""

    def __init__(self, dataplane: Dataplane):
        self._dataplane = dataplane

    def handlers(self, calls: Calls) -> tuple[grpc.GenericRpcHandler, ...]:
        """For a server's `add_generic_rpc_handlers`."""
        prediction = {"Predict": self._predict, "GetModelMetadata": self._metadata}
        return (
            calls.service(PREDICTION, prediction, _NOT_OFFERED),
            calls.service(MODEL, {"GetModelStatus": self._status}, _NOT_OFFERED),
        )

    async def _predict(self, request: Any, call: Call) -> Any:
        version = self._version(request)
        call.version = version
        model = version.model
        signature = tf_tensors.read_signature(request.model_spec.signature_name)
        tf_tensors.check_outputs(model, request.output_filter)
        if call.large:
            images = await asyncio.to_thread(
                tf_tensors.read_inputs, model, signature, request.inputs
            )
        else:
            images = tf_tensors.read_inputs(model, signature, request.inputs)
        if isinstance(images, list):
            probabilities = await self._dataplane.infer_encoded(version, images)
        else:
            probabilities = await version.batcher.infer(images)  # checked by now
        spec = {**_spec(version), "signature_name": signature}
        outputs = {model.output_name: tf_tensors.write_tensor(probabilities)}
        return _Predicted(model_spec=spec, outputs=outputs)

    async def _metadata(self, request: Any, call: Call) -> Any:
        version = self._version(request)
        fields = list(request.metadata_field)
        if not fields or set(fields) != {_FIELD}:
            received = [field[:50] for field in fields[:4]]
            raise InvalidRequest(f"metadata_field names {received}, expected {[_FIELD]}.")
        response = _Metadata(model_spec=_spec(version))
        defined = filled(_Signatures, {"signature_def": signatures(version.model)})
        response.metadata[_FIELD].Pack(defined)
        return response

    async def _status(self, request: Any, call: Call) -> Any:
        found, spec = self._version(request), request.model_spec
        numbers = [found.model.version]
        if spec.WhichOneof("version_choice") is None:
            served = self._dataplane.served_model(spec.name)
            numbers = descriptions.numbers(served)[::-1]
        states = [
            {"version": int(number), "state": "AVAILABLE", "status": {"error_code": "OK"}}
            for number in numbers
        ]
        return _Status(model_version_status=states)

    def _version(self, request: Any) -> Version:
        if not request.HasField("model_spec") or not request.model_spec.name:
            raise InvalidRequest("the request names no model, expected model_spec with its name.")
        spec = request.model_spec
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return self._dataplane.find(spec.name, version=str(spec.version.value))
        if choice == "version_label":
            return self._dataplane.find(spec.name, label=spec.version_label)
        return self._dataplane.find(spec.name)


def _spec(version: Version) -> dict:
    return {"name": version.model.name, "version": {"value": int(version.model.version)}}


_Predicted = message("tensorflow.serving.PredictResponse")
_Signatures = message("tensorflow.serving.SignatureDefMap")
_Metadata = message("tensorflow.serving.GetModelMetadataResponse")
_Status = message("tensorflow.serving.GetModelStatusResponse")
