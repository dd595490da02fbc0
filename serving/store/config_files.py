"""The files TensorFlow Serving and Triton read, generated as text: neither is imported here.

Formats: tensorflow_serving/config/model_server_config.proto, tensorflow_serving/servables/
tensorflow/session_bundle_config.proto (BatchingParameters) and Triton's model_config.proto.
Both servers skip entries of a model's directory that are not numbers (`current`, `history.jsonl`;
Triton logs one line for the link) and, within a version, files of other formats.
"""

import json
from collections.abc import Mapping

from serving.contract.release_files import FORMATS, LABELS

MAX_BATCH = 64
"""Most images in one batch, for every server."""

QUEUE_DELAY_MICROSECONDS = 2000
"""How long a request may wait for others to share its batch."""

_TRITON_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}


def quoted(text: str) -> str:
    """A string literal of the protobuf text format (JSON's escapes of ASCII are a subset)."""
    return json.dumps(text)


def tf_serving_models(versions: Mapping[str, int]) -> str:
    """`models.config`: each model pinned to one version, so that a rollback is one rewrite.

    `versions` maps the model's name to its current version. `base_path` is where the compose file
    mounts the store's `models` directory.
    """
    entries = [
        "  config {\n"
        f"    name: {quoted(name)}\n"
        f"    base_path: {quoted(f'/models/{name}')}\n"
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {version} }} }}\n"
        "  }\n"
        for name, version in sorted(versions.items())
    ]
    return "model_config_list {\n" + "".join(entries) + "}\n"


def tf_serving_batching() -> str:
    """`batching.config`. One batch runs at a time per thread; TensorFlow spreads it over cores."""
    return (
        f"max_batch_size {{ value: {MAX_BATCH} }}\n"
        f"batch_timeout_micros {{ value: {QUEUE_DELAY_MICROSECONDS} }}\n"
        "max_enqueued_batches { value: 100 }\n"
        "num_batch_threads { value: 2 }\n"
    )


def triton_model(name: str, version: int, contract: Mapping) -> str:
    """`config.pbtxt` for Triton's ONNX Runtime backend, pinned to one version.

    `contract` is the release's contract.json. Dimensions exclude the batch, which Triton adds
    because `max_batch_size` is positive. The label file gives the classification extension names.
    Raises KeyError, TypeError or ValueError when the contract is not of that form.
    """
    return (
        f"name: {quoted(name)}\n"
        'backend: "onnxruntime"\n'
        f"default_model_filename: {quoted(FORMATS['onnx'].file)}\n"
        f"max_batch_size: {MAX_BATCH}\n"
        f"input [ {{ {_tensor(contract['input'])} }} ]\n"
        f"output [ {{ {_tensor(contract['output'])}"
        f" label_filename: {quoted(f'{version}/{LABELS}')} }} ]\n"
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_MICROSECONDS} }}\n"
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}\n"
    )


def _tensor(tensor: Mapping) -> str:
    batch, *dims = tensor["shape"]
    if batch is not None or not dims or not all(isinstance(d, int) and d > 0 for d in dims):
        raise ValueError(
            f"{tensor['name']} has shape {tensor['shape']}, expected null (the batch) and then"
            " positive sizes"
        )
    if tensor["dtype"] not in _TRITON_TYPES:
        raise ValueError(
            f"{tensor['name']} is {tensor['dtype']}, expected one of {', '.join(_TRITON_TYPES)}"
        )
    return (
        f"name: {quoted(tensor['name'])} data_type: {_TRITON_TYPES[tensor['dtype']]}"
        f" dims: [ {', '.join(map(str, dims))} ]"
    )
