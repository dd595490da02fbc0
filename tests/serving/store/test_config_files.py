"""The files for TensorFlow Serving and Triton, read back with the servers' own formats."""

import re

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

from serving.store import config_files
from tests.helpers.serving_fixtures import REPOSITORY, contract, run

PARSE = """
import sys
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2
config = text_format.Parse(sys.argv[1], model_server_config_pb2.ModelServerConfig())
for model in config.model_config_list.config:
    policy = model.model_version_policy
    print(model.name, model.base_path, model.model_platform,
          policy.WhichOneof("policy_choice"), *policy.specific.versions)
"""


def message(text: str, **messages: dict) -> object:
    """Parses text with message types written as {field: (number, type)}; * marks repeated ones.

    The packages of these servers' protos are not installed; numbers and names are theirs.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{hash(str(messages))}.proto", package="t")
    file.syntax = "proto3"
    kinds = {"int64": 3, "int32": 5, "string": 9, "bool": 8, "uint64": 4}
    for name, fields in messages.items():
        entry = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            added = entry.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in kinds:
                added.type = kinds[kind]
            else:
                added.type, added.type_name = (
                    (14 if kind == "DataType" else 11),
                    f".t.{kind}",
                )
    enum = file.enum_type.add(name="DataType")
    for name, number in (("TYPE_INVALID", 0), ("TYPE_UINT8", 2), ("TYPE_FP32", 11)):
        enum.value.add(name=name, number=number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    root = pool.FindMessageTypeByName(f"t.{next(iter(messages))}")
    return text_format.Parse(text, message_factory.GetMessageClass(root)())


def test_models_config_is_what_tensorflow_servings_own_proto_reads():
    text = config_files.tf_serving_models({"smiles-v2.1": 12, "digits": 3})
    result = run("-c", PARSE, text)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "digits /models/digits tensorflow specific 3",
        "smiles-v2.1 /models/smiles-v2.1 tensorflow specific 12",
    ]


def test_models_config_without_models_is_still_valid():
    result = run("-c", PARSE, config_files.tf_serving_models({}))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_batching_config_has_the_fields_of_batching_parameters():
    """session_bundle_config.proto, whose Python module the API package does not ship."""
    batching = message(
        config_files.tf_serving_batching(),
        BatchingParameters={
            "max_batch_size": (1, "Int64Value"),
            "batch_timeout_micros": (2, "Int64Value"),
            "max_enqueued_batches": (3, "Int64Value"),
            "num_batch_threads": (4, "Int64Value"),
            "allowed_batch_sizes": (6, "*int64"),
            "pad_variable_length_inputs": (7, "bool"),
        },
        Int64Value={"value": (1, "int64")},
    )
    assert batching.max_batch_size.value == config_files.MAX_BATCH
    assert batching.batch_timeout_micros.value == 2000
    assert batching.num_batch_threads.value >= 1


def test_triton_config_names_types_and_dimensions_without_the_batch():
    """Fields of Triton's model_config.proto."""
    config = message(
        config_files.triton_model("faces", 7, contract(48, 64, 3, ["no", "yes"])),
        ModelConfig={
            "name": (1, "string"),
            "version_policy": (3, "ModelVersionPolicy"),
            "max_batch_size": (4, "int32"),
            "input": (5, "*Tensor"),
            "output": (6, "*Tensor"),
            "default_model_filename": (8, "string"),
            "dynamic_batching": (11, "ModelDynamicBatching"),
            "backend": (17, "string"),
        },
        ModelVersionPolicy={"specific": (3, "Specific")},
        Specific={"versions": (1, "*int64")},
        Tensor={
            "name": (1, "string"),
            "data_type": (2, "DataType"),
            "dims": (3, "*int64"),
            "label_filename": (4, "string"),
        },
        ModelDynamicBatching={"max_queue_delay_microseconds": (2, "uint64")},
    )
    assert (config.name, config.backend) == ("faces", "onnxruntime")
    assert config.default_model_filename == "model.onnx"
    assert list(config.version_policy.specific.versions) == [7]
    assert config.max_batch_size == config_files.MAX_BATCH
    (image,), (probabilities,) = config.input, config.output
    assert (image.name, image.data_type, list(image.dims)) == ("image", 2, [48, 64, 3])
    assert (probabilities.name, probabilities.data_type) == ("probabilities", 11)
    assert list(probabilities.dims) == [2]
    assert probabilities.label_filename == "7/labels.txt"
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000


@pytest.mark.parametrize("shape", [[1, 8, 8, 1], [None], [None, 0, 8, 1], [None, None, 8, 1], []])
def test_a_contract_with_another_kind_of_shape_is_refused(shape):
    broken = contract()
    broken["input"]["shape"] = shape
    with pytest.raises(ValueError):
        config_files.triton_model("digits", 1, broken)


def test_the_compose_file_serves_the_store_on_this_machine_only():
    services = yaml.safe_load((REPOSITORY / "serving/docker-compose.yml").read_text())["services"]
    assert services.keys() == {"tf-serving", "triton"}
    for service in services.values():
        for port in service["ports"]:
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        assert mounts["/models"]["source"] == "${DARKROOM_ROOT:-../out}/serving/models"
        assert all(mount["read_only"] for mount in mounts.values())
    flags = services["tf-serving"]["command"]
    assert "--model_config_file=/serving/models.config" in flags
    assert "--batching_parameters_file=/serving/batching.config" in flags
