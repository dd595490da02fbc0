"""The contract inside every artifact: what it takes, what it gives, and where it came from.

    SavedModel   assets.extra/contract.json
    TFLite       metadata buffer `contract`
    ONNX         metadata_props `contract` and `lineage`
    Keras        contract.json in the archive
    safetensors  metadata `contract`, beside `network`, which describes the layers
    PyTorch      extra file contract.json in the program

export/verification/runtimes.py reads it back. Nothing here imports a framework.
"""

import hashlib
import importlib.util
import json
from typing import Any

from components.networks.custom_network import CustomNetwork
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec
from serving.contract.release_files import FORMATS, Format

KEY = "contract"
IMAGE, IMAGE_BYTES, PROBABILITIES = "image", "image_bytes", "probabilities"

_FITTED = {
    "crop": "crop it centrally to the aspect ratio of the packed size, resize it with an "
    "antialiased bilinear filter",
    "stretch": "resize it to the packed size with an antialiased bilinear filter whatever its "
    "aspect ratio",
    "pad": "resize it with an antialiased bilinear filter to fit into the packed size, keeping its "
    "aspect ratio, put it into the middle of a black image of that size",
}


def build(network: Network, lineage: str, temperature: float = 1.0) -> dict:
    """The contract of `network`'s artifacts, as plain JSON values.

    `None` stands for the batch dimension. `temperature` is what the logits are divided by.
    """
    contract = {
        "framework": network.framework,
        "lineage": lineage,
        "input": {
            "name": IMAGE,
            "dtype": "uint8",
            "shape": [None, *network.spec.shape],
        },
        "output": {
            "name": PROBABILITIES,
            "dtype": "float32",
            "shape": [None, len(network.labels)],
        },
        "preprocessing": _preprocessing(network.spec),
        "temperature": temperature,
        "image_spec": network.spec.to_dict(),
        "labels": list(network.labels),
    }
    return json.loads(to_json(contract))


def _preprocessing(spec: ImageSpec) -> str:
    """What a caller has to do, in words; `image_spec` has the numbers."""
    return (
        f"Turn the image upright (EXIF), {_FITTED[spec.fit]}, crop the margins, and pass the pixels"
        " as they are, 0 to 255: normalisation is inside the model."
    )


def formats(network: Network) -> list[str]:
    """What the network can be exported as. PyTorch reaches the formats that it does not write
    itself by a Keras twin, which a custom network does not have, but TFLite without one where
    litert-torch is installed."""
    custom = isinstance(network.architecture, CustomNetwork)
    return [
        row.name
        for row in FORMATS.values()
        if network.framework in row.sources
        and (row.from_torch or not without_twin(network) or _by_litert_torch(row))
        and not (custom and row.described)
        and (network.spec.channels == 1 or not row.from_grey)
    ]


def without_twin(network: Network) -> bool:
    """Whether nothing but PyTorch can build the network."""
    return isinstance(network.architecture, CustomNetwork) and network.framework == "torch"


def module_of(row: Format, network: Network) -> str:
    """The module that writes the format of this network."""
    own_way = without_twin(network) and not row.from_torch
    return f"export.formats.{'torch_' if own_way else ''}{row.module}"


def _by_litert_torch(row: Format) -> bool:
    return row.module == "tflite" and importlib.util.find_spec("litert_torch") is not None


def inside(contract: dict, row: Format) -> dict:
    """The contract in an artifact of that format, of the model's: a grey model's form for images
    in colour takes three channels. Raises ValueError where the model takes them itself."""
    if not row.from_grey:
        return contract
    batch, height, width, channels = contract["input"]["shape"]
    if channels != 1:
        raise ValueError(f"the model takes {channels} channels, expected one of grey images.")
    taken: dict[str, Any] = contract["input"] | {"shape": [batch, height, width, 3]}
    words = contract["preprocessing"]
    words += " All three channels are given; grey is made inside the model."
    return contract | {"input": taken, "preprocessing": words}


def to_json(contract: dict) -> str:
    """One line of ASCII: the same contract gives the same bytes in every artifact."""
    return json.dumps(contract, sort_keys=True)


def digest(contract: dict) -> str:
    """Hex SHA-256 of `to_json`."""
    return hashlib.sha256(to_json(contract).encode()).hexdigest()
