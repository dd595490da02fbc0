"""The files TensorFlow Serving and Triton read, generated as text: neither is imported here.

Formats: tensorflow_serving/config/model_server_config.proto, tensorflow_serving/servables/
tensorflow/session_bundle_config.proto (BatchingParameters) and Triton's model_config.proto.
Both servers skip entries of a model's directory that are not numbers (`current`, `history.jsonl`;
Triton logs one line for the link) and, within a version, files of other formats.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from serving.contract.release_files import FORMATS, LABELS

MAX_BATCH = 64
"""Most images in one batch, for every server."""

QUEUE_DELAY_MICROSECONDS = 2000
"""How long a request may wait for others to share its batch."""

_TRITON_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}


def quoted(text: str) -> str:
    """A string literal of the protobuf text format (JSON's escapes of ASCII are a subset)."""
    return json.dumps(text)


@dataclasses.dataclass(frozen=True)
class Pinned:
    """What a server serves of a model: its current version, and labelled ones by label."""

    current: int
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, current: int, labels: Mapping[str, int]) -> "Pinned":
        """Without labels of versions above the current one.

        TensorFlow Serving and Triton answer whoever names no version with the highest one that is
        loaded: a version that was rolled back from must not become it because it has a label.
        """
        return cls(current, {label: v for label, v in labels.items() if v <= current})

    @property
    def versions(self) -> list[int]:
        """Each once, in order; the current one is the last."""
        return sorted({self.current, *self.labels.values()})


def tf_serving_models(models: Mapping[str, Pinned], base: str = "/models") -> str:
    """`models.config`: each model pinned to its versions, so that a rollback is one rewrite.

    `base` is the folder of the models as the server sees it: by default where the compose file
    mounts the store's `models` directory. Labels are read before the first version is loaded, which
    the server needs to be told: --allow_version_labels_for_unavailable_models.
    """
    entries = [_entry(name, models[name], base) for name in sorted(models)]
    return "model_config_list {\n" + "".join(entries) + "}\n"


def _entry(name: str, pinned: Pinned, base: str) -> str:
    versions = " ".join(f"versions: {version}" for version in pinned.versions)
    labels = "".join(
        f"    version_labels {{ key: {quoted(label)} value: {version} }}\n"
        for label, version in sorted(pinned.labels.items())
    )
    return (
        "  config {\n"
        f"    name: {quoted(name)}\n"
        f"    base_path: {quoted(f'{base}/{name}')}\n"
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ {versions} }} }}\n"
        f"{labels}"
        "  }\n"
    )


def tf_serving_batching() -> str:
    """`batching.config`. One batch runs at a time per thread; TensorFlow spreads it over cores."""
    return (
        f"max_batch_size {{ value: {MAX_BATCH} }}\n"
        f"batch_timeout_micros {{ value: {QUEUE_DELAY_MICROSECONDS} }}\n"
        "max_enqueued_batches { value: 100 }\n"
        "num_batch_threads { value: 2 }\n"
    )


def tf_serving_monitoring(path: str) -> str:
    """`monitoring.config`: metrics for Prometheus, on the port of REST."""
    return f"prometheus_config {{ enable: true path: {quoted(path)} }}\n"


def alike(contract: Mapping, other: Mapping) -> bool:
    """Whether one `config.pbtxt` is true of both: it has one shape and one list of labels."""
    return all(contract.get(key) == other.get(key) for key in ("input", "output", "labels"))


def triton_model(name: str, version: int, contract: Mapping, others: Sequence[int] = ()) -> str:
    """`config.pbtxt` for Triton's ONNX Runtime backend, pinned to one version and to `others`.

    `contract` is the release's contract.json, and true of the others (see `alike`). Dimensions
    exclude the batch, which Triton adds because `max_batch_size` is positive. The label file gives
    the classification extension names. A version is ready once it has answered a black image:
    ONNX Runtime allocates its memory at the first one.
    Raises KeyError, TypeError or ValueError when the contract is not of that form.
    """
    versions = ", ".join(map(str, sorted({version, *others})))
    return (
        f"name: {quoted(name)}\n"
        'backend: "onnxruntime"\n'
        f"default_model_filename: {quoted(FORMATS['onnx'].file)}\n"
        f"max_batch_size: {MAX_BATCH}\n"
        f"input [ {{ {_tensor(contract['input'])} }} ]\n"
        f"output [ {{ {_tensor(contract['output'])}"
        f" label_filename: {quoted(f'{version}/{LABELS}')} }} ]\n"
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_MICROSECONDS} }}\n"
        f"version_policy {{ specific {{ versions: [ {versions} ] }} }}\n"
        'model_warmup [ { name: "black image" batch_size: 1'
        f" inputs {{ key: {quoted(contract['input']['name'])}"
        f" value {{ {_type_and_dims(contract['input'])} zero_data: true }} }} }} ]\n"
    )


def _tensor(tensor: Mapping) -> str:
    return f"name: {quoted(tensor['name'])} {_type_and_dims(tensor)}"


def _type_and_dims(tensor: Mapping) -> str:
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
    return f"data_type: {_TRITON_TYPES[tensor['dtype']]} dims: [ {', '.join(map(str, dims))} ]"
