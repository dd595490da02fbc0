"""The interface definitions: compiled as they are written, and the same as the published ones."""

import json

import pytest
from google.protobuf import descriptor_pb2

from serving.server.protos import compile as compiling
from serving.server.protos import pool as pools
from serving.server.protos.pool import filled, message, methods, pool
from tests.helpers.grpc_servers import run_with_published_messages

PUBLISHED = """
import json, sys
from google.protobuf import descriptor_pb2
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2
from tensorflow_serving.apis import model_pb2, model_service_pb2, predict_pb2
from tensorflow_serving.apis import prediction_service_pb2
from google.protobuf import descriptor_pool

pool, wanted = descriptor_pool.Default(), json.load(sys.stdin)
found = {"messages": {}, "enums": {}, "services": {}}
for name in wanted["messages"]:
    made = descriptor_pb2.DescriptorProto()
    pool.FindMessageTypeByName(name).CopyToProto(made)
    found["messages"][name] = made.SerializeToString().hex()
for name in wanted["enums"]:
    values = pool.FindEnumTypeByName(name).values
    found["enums"][name] = {value.name: value.number for value in values}
for name in wanted["services"]:
    found["services"][name] = [
        [m.name, m.input_type.full_name, m.output_type.full_name]
        for m in pool.FindServiceByName(name).methods
    ]
print(json.dumps(found))
"""


def _described() -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString(pools.DESCRIPTORS.read_bytes())


def _messages(package: str) -> dict[str, descriptor_pb2.DescriptorProto]:
    """By full name, the nested ones included."""
    found = {}

    def walk(prefix: str, messages) -> None:
        for one in messages:
            found[f"{prefix}.{one.name}"] = one
            walk(f"{prefix}.{one.name}", one.nested_type)

    for file in _described().file:
        if file.package.startswith(package):
            walk(file.package, file.message_type)
    return found


def _enums(package: str) -> dict[str, dict[str, int]]:
    found = {}
    for file in _described().file:
        if file.package.startswith(package):
            for one in file.enum_type:
                found[f"{file.package}.{one.name}"] = {v.name: v.number for v in one.value}
    for name, one in _messages(package).items():
        for nested in one.enum_type:
            found[f"{name}.{nested.name}"] = {v.name: v.number for v in nested.value}
    return found


@pytest.fixture(scope="module")
def published() -> dict:
    """TensorFlow's and TensorFlow Serving's own descriptors of what we declare."""
    services = ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"]
    wanted = {
        "messages": list(_messages("tensorflow")),
        "enums": list(_enums("tensorflow")),
        "services": services,
    }
    return json.loads(run_with_published_messages(PUBLISHED, json.dumps(wanted)))


def test_the_compiled_descriptors_are_those_of_the_proto_files():
    assert descriptor_pb2.FileDescriptorSet.FromString(compiling.compiled()) == _described(), (
        "python -m serving.server.protos.compile"
    )


def test_every_message_of_tensorflow_has_the_published_numbers_types_and_labels(published):
    ours = _messages("tensorflow")
    assert len(ours) > 20
    for name, content in published["messages"].items():
        theirs = descriptor_pb2.DescriptorProto.FromString(bytes.fromhex(content))
        fields = {field.name: field for field in theirs.field}
        oneofs = [one.name for one in theirs.oneof_decl]
        for field in ours[name].field:
            real = fields[field.name]
            assert (field.number, field.type, field.label, field.type_name) == (
                real.number,
                real.type,
                real.label,
                real.type_name,
            ), f"{name}.{field.name}"
            assert field.HasField("oneof_index") == real.HasField("oneof_index")
            if field.HasField("oneof_index"):
                mine = ours[name].oneof_decl[field.oneof_index].name
                assert mine == oneofs[real.oneof_index]


def test_every_value_of_tensorflows_enumerations_has_the_published_number(published):
    ours = _enums("tensorflow")
    assert ours.keys() == published["enums"].keys() and len(ours) == 3
    for name, values in ours.items():
        assert values.items() <= published["enums"][name].items(), name


def test_tensorflow_servings_services_have_every_published_method(published):
    for name, theirs in published["services"].items():
        ours = [
            [method, request.DESCRIPTOR.full_name, response.DESCRIPTOR.full_name]
            for method, (request, response) in methods(name).items()
        ]
        assert sorted(ours) == sorted(theirs)


# Of github.com/triton-inference-server/common, protobuf/*.proto: name to number.
TRITON = {
    "ModelInferRequest": {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "inputs": 5,
        "outputs": 6,
        "raw_input_contents": 7,
    },
    "ModelInferRequest.InferInputTensor": {
        "name": 1,
        "datatype": 2,
        "shape": 3,
        "parameters": 4,
        "contents": 5,
    },
    "ModelInferRequest.InferRequestedOutputTensor": {"name": 1, "parameters": 2},
    "ModelInferResponse": {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "outputs": 5,
        "raw_output_contents": 6,
    },
    "ModelStreamInferResponse": {"error_message": 1, "infer_response": 2},
    "InferParameter": {
        "bool_param": 1,
        "int64_param": 2,
        "string_param": 3,
        "double_param": 4,
        "uint64_param": 5,
    },
    "InferTensorContents": {
        "bool_contents": 1,
        "int_contents": 2,
        "int64_contents": 3,
        "uint_contents": 4,
        "uint64_contents": 5,
        "fp32_contents": 6,
        "fp64_contents": 7,
        "bytes_contents": 8,
    },
    "ModelMetadataResponse": {
        "name": 1,
        "versions": 2,
        "platform": 3,
        "inputs": 4,
        "outputs": 5,
    },
    "ModelMetadataResponse.TensorMetadata": {"name": 1, "datatype": 2, "shape": 3},
    "ServerMetadataResponse": {"name": 1, "version": 2, "extensions": 3},
    "ModelInput": {"name": 1, "data_type": 2, "format": 3, "dims": 4},
    "ModelOutput": {"name": 1, "data_type": 2, "dims": 3, "label_filename": 4},
    "ModelInstanceGroup": {"name": 1, "count": 2, "kind": 4},
    "ModelDynamicBatching": {"max_queue_delay_microseconds": 2},
    "ModelConfig": {
        "name": 1,
        "platform": 2,
        "version_policy": 3,
        "max_batch_size": 4,
        "input": 5,
        "output": 6,
        "instance_group": 7,
        "default_model_filename": 8,
        "dynamic_batching": 11,
        "backend": 17,
    },
    "ModelStatistics": {
        "name": 1,
        "version": 2,
        "last_inference": 3,
        "inference_count": 4,
        "execution_count": 5,
        "inference_stats": 6,
        "batch_stats": 7,
    },
    "InferStatistics": {
        "success": 1,
        "fail": 2,
        "queue": 3,
        "compute_input": 4,
        "compute_infer": 5,
        "compute_output": 6,
        "cache_hit": 7,
        "cache_miss": 8,
    },
    "RepositoryIndexResponse.ModelIndex": {"name": 1, "version": 2, "state": 3, "reason": 4},
    "RepositoryModelLoadRequest": {"repository_name": 1, "model_name": 2, "parameters": 3},
}


@pytest.mark.parametrize("name", TRITON)
def test_messages_of_the_open_inference_protocol_have_the_published_numbers(name):
    fields = {field.name: field.number for field in message(f"inference.{name}").DESCRIPTOR.fields}
    assert fields == TRITON[name]


def test_the_open_inference_protocol_has_every_method_of_triton():
    assert set(methods("inference.GRPCInferenceService")) == {
        *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata"),
        *("ModelInfer", "ModelStreamInfer", "ModelConfig", "ModelStatistics", "RepositoryIndex"),
        *("RepositoryModelLoad", "RepositoryModelUnload", "TraceSetting", "LogSettings"),
        *(
            f"{kind}SharedMemory{what}"
            for kind in ("System", "Cuda")
            for what in ("Status", "Register", "Unregister")
        ),
    }


def test_fields_that_are_not_declared_are_skipped():
    made = filled(message("inference.ServerMetadataResponse"), {"name": "a", "unheard_of": 1})
    assert made.name == "a"
    status = message("grpc.health.v1.HealthCheckResponse")(status="SERVING").SerializeToString()
    assert message("inference.ServerLiveRequest").FromString(status) is not None


def test_our_messages_live_beside_tensorflows():
    run_with_published_messages(
        "from serving.server.protos.pool import message\n"
        "ours = message('tensorflow.TensorProto')(dtype='DT_FLOAT')\n"
        "from tensorflow_serving.apis import predict_pb2\n"
        "from tensorflow.core.framework.tensor_pb2 import TensorProto\n"
        "assert TensorProto.FromString(ours.SerializeToString()).dtype == 1\n"
        "assert TensorProto is not type(ours)\n"
    )


def test_no_file_of_the_pool_is_in_protobufs_own():
    from google.protobuf import descriptor_pool

    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("open_inference.proto")
    assert pool().FindFileByName("open_inference.proto").package == "inference"
