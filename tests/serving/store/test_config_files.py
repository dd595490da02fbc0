"""The files for TensorFlow Serving and Triton, read back with the servers' own formats."""

import re

import pytest
import yaml

from serving.store import config_files
from tests.helpers.server_protos import BATCHING, MONITORING, TRITON, message
from tests.helpers.serving_fixtures import REPOSITORY, contract, run

PARSE = """
import sys
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2
config = text_format.Parse(sys.argv[1], model_server_config_pb2.ModelServerConfig())
for model in config.model_config_list.config:
    policy = model.model_version_policy
    print(model.name, model.base_path, model.model_platform,
          policy.WhichOneof("policy_choice"), *policy.specific.versions,
          *(f"{k}={v}" for k, v in sorted(model.version_labels.items())))
"""


def test_models_config_is_what_tensorflow_servings_own_proto_reads():
    pinned = config_files.Pinned.of(12, {"stable": 9, "old": 9, "canary": 12, "withdrawn": 13})
    text = config_files.tf_serving_models({"smiles-v2.1": pinned, "digits": config_files.Pinned(3)})
    result = run("-c", PARSE, text)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "digits /models/digits tensorflow specific 3",
        "smiles-v2.1 /models/smiles-v2.1 tensorflow specific 9 12 canary=12 old=9 stable=9",
    ]


def test_models_config_without_models_is_still_valid():
    result = run("-c", PARSE, config_files.tf_serving_models({}))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_batching_config_has_the_fields_of_batching_parameters():
    """session_bundle_config.proto, whose Python module the API package does not ship."""
    batching = message(config_files.tf_serving_batching(), **BATCHING)
    assert batching.max_batch_size.value == config_files.MAX_BATCH
    assert batching.batch_timeout_micros.value == 2000
    assert batching.num_batch_threads.value >= 1


def test_monitoring_config_has_the_fields_of_its_proto():
    """monitoring_config.proto, whose Python module the API package does not ship."""
    monitoring = message(config_files.tf_serving_monitoring("/metrics"), **MONITORING)
    assert monitoring.prometheus_config.enable is True
    assert monitoring.prometheus_config.path == "/metrics"


def test_triton_config_names_types_and_dimensions_without_the_batch():
    text = config_files.triton_model("faces", 7, contract(48, 64, 3, ["no", "yes"]), [3, 7])
    config = message(text, **TRITON)
    assert (config.name, config.backend) == ("faces", "onnxruntime")
    assert config.default_model_filename == "model.onnx"
    assert list(config.version_policy.specific.versions) == [3, 7]
    assert config.max_batch_size == config_files.MAX_BATCH
    (image,), (probabilities,) = config.input, config.output
    assert (image.name, image.data_type, list(image.dims)) == ("image", 2, [48, 64, 3])
    assert (probabilities.name, probabilities.data_type) == ("probabilities", 11)
    assert list(probabilities.dims) == [2]
    assert probabilities.label_filename == "7/labels.txt"
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    (warmup,) = config.model_warmup
    (entry,) = warmup.inputs
    assert (warmup.batch_size, entry.key) == (1, "image") and entry.value.zero_data
    assert (entry.value.data_type, list(entry.value.dims)) == (2, [48, 64, 3])


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
        assert service["healthcheck"]["test"][0] == "CMD" and service["healthcheck"]["retries"]
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        assert mounts["/models"]["source"] == "${DARKROOM_ROOT:-../out}/serving/models"
        assert all(mount["read_only"] for mount in mounts.values())
    flags = services["tf-serving"]["command"]
    assert "--model_config_file=/serving/models.config" in flags
    assert "--batching_parameters_file=/serving/batching.config" in flags
    assert "--allow_version_labels_for_unavailable_models=true" in flags
