"""How models are described, in the terms of the Open Inference Protocol and Triton's extensions.

Every dictionary has the fields of the protobuf message of that name, for HTTP and gRPC alike.
"""

from serving import __version__
from serving.contract.release_files import LABELS
from serving.inference.model import Model
from serving.server.dataplane import Dataplane, Served, Version

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)


def server() -> dict:
    """ServerMetadataResponse."""
    return {"name": "darkroom", "version": __version__, "extensions": list(EXTENSIONS)}


def metadata(model: Model, versions: list[str]) -> dict:
    """ModelMetadataResponse; -1 stands for the batch.

    Encoded images, the input `image_bytes`, are not listed: generic clients expect one input.
    """
    return {
        "name": model.name,
        "versions": versions,
        "platform": model.platform,
        "inputs": [tensor(model.input_name, "UINT8", model.input_shape)],
        "outputs": [tensor(model.output_name, "FP32", model.output_shape)],
    }


def tensor(name: str, datatype: str, shape: tuple[int, ...]) -> dict:
    """TensorMetadata."""
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def config(version: Version) -> dict:
    """ModelConfig."""
    model = version.model
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [int(model.version)]}},
        "max_batch_size": model.max_batch,
        "input": [
            {
                "name": model.input_name,
                "data_type": "TYPE_UINT8",
                "format": "FORMAT_NHWC",
                "dims": list(model.input_shape[1:]),
            }
        ],
        "output": [
            {
                "name": model.output_name,
                "data_type": "TYPE_FP32",
                "dims": list(model.output_shape[1:]),
                "label_filename": LABELS,
            }
        ],
        "instance_group": [
            {
                "name": model.name,
                "kind": "KIND_CPU" if model.provider == "CPU" else "KIND_GPU",
                "count": version.batcher.workers,
            }
        ],
        "default_model_filename": model.format.file,
        "dynamic_batching": {
            "max_queue_delay_microseconds": int(version.batcher.delay * 1e6),
        },
    }


def statistics(versions: list[Version]) -> dict:
    """ModelStatisticsResponse."""
    stats = [
        {
            "name": version.model.name,
            "version": version.model.version,
            **version.statistics.to_dict(),
            "response_stats": {},
            "memory_usage": [],
        }
        for version in versions
    ]
    return {"model_stats": stats}


def index(dataplane: Dataplane, available: list[str], ready_only: bool) -> list[dict]:
    """The models of a RepositoryIndexResponse: each version served, and what could be loaded."""
    rows = [
        {"name": served.name, "version": number, "state": "READY", "reason": ""}
        for served in dataplane.models()
        for number in sorted(served.versions, key=int)
    ]
    if not ready_only:
        others = sorted(set(available) - set(dataplane.served))
        rows += [
            {"name": name, "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}
            for name in others
        ]
    return rows


def numbers(served: Served) -> list[str]:
    """The versions served of a model."""
    return sorted(served.versions, key=int)
