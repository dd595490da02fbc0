"""Messages of TensorFlow Serving's and Triton's configuration, whose Python modules no package here
ships: numbers and names are theirs."""

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

BATCHING: dict[str, dict] = {
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "allowed_batch_sizes": (6, "*int64"),
        "pad_variable_length_inputs": (7, "bool"),
    },
    "Int64Value": {"value": (1, "int64")},
}
"""session_bundle_config.proto"""

MONITORING: dict[str, dict] = {
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
}
"""monitoring_config.proto"""

TRITON: dict[str, dict] = {
    "ModelConfig": {
        "name": (1, "string"),
        "version_policy": (3, "ModelVersionPolicy"),
        "max_batch_size": (4, "int32"),
        "input": (5, "*Tensor"),
        "output": (6, "*Tensor"),
        "default_model_filename": (8, "string"),
        "dynamic_batching": (11, "ModelDynamicBatching"),
        "model_warmup": (16, "*ModelWarmup"),
        "backend": (17, "string"),
    },
    "ModelVersionPolicy": {"specific": (3, "Specific")},
    "Specific": {"versions": (1, "*int64")},
    "Tensor": {
        "name": (1, "string"),
        "data_type": (2, "DataType"),
        "dims": (3, "*int64"),
        "label_filename": (4, "string"),
    },
    "ModelDynamicBatching": {"max_queue_delay_microseconds": (2, "uint64")},
    "ModelWarmup": {"name": (1, "string"), "batch_size": (2, "uint32"), "inputs": (3, "*Entry")},
    "Entry": {"key": (1, "string"), "value": (2, "Input")},  # what a map is, on the wire as in text
    "Input": {"data_type": (1, "DataType"), "dims": (2, "*int64"), "zero_data": (3, "bool")},
}
"""model_config.proto"""


def message(text: str, **messages: dict) -> object:
    """Parses text with message types written as {field: (number, type)}; * marks repeated ones."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{hash(str(messages))}.proto", package="t")
    file.syntax = "proto3"
    kinds = {"int64": 3, "int32": 5, "string": 9, "bool": 8, "uint64": 4, "uint32": 13}
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
