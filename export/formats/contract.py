"""The contract inside every artifact: what it takes, what it gives, and where it came from.

    SavedModel   assets.extra/contract.json
    TFLite       metadata buffer `contract`
    ONNX         metadata_props `contract` and `lineage`

export/verification/runtimes.py reads it back. Nothing here imports a framework.
"""

import json

from components.networks.custom_network import CustomNetwork
from components.networks.network import Network
from serving.contract.release_files import FORMATS

KEY = "contract"
IMAGE, IMAGE_BYTES, PROBABILITIES = "image", "image_bytes", "probabilities"


def build(network: Network, lineage: str) -> dict:
    """The contract of `network`'s artifacts, as plain JSON values.

    `None` stands for the batch dimension.
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
        "formats": formats(network),
        "image_spec": network.spec.to_dict(),
        "labels": list(network.labels),
    }
    return json.loads(to_json(contract))


def formats(network: Network) -> list[str]:
    """What the network is exported as. PyTorch reaches the formats that it does not write itself by
    a Keras twin, which a custom network does not have."""
    without_twin = isinstance(network.architecture, CustomNetwork) and network.framework == "torch"
    return [row.name for row in FORMATS.values() if row.from_torch or not without_twin]


def to_json(contract: dict) -> str:
    """One line of ASCII: the same contract gives the same bytes in every artifact."""
    return json.dumps(contract, sort_keys=True)
