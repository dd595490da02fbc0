"""The contract inside every artifact: what it takes, what it gives, and where it came from.

    SavedModel   assets.extra/contract.json
    TFLite       metadata buffer `contract`
    ONNX         metadata_props `contract` and `lineage`

Nothing here imports a framework; reading a TFLite file needs ai_edge_litert (its flatbuffer
schema). The readers raise ValueError when there is no contract.
"""

import json
from pathlib import Path

from components.networks.custom_network import CustomNetwork
from components.networks.network import Network
from serving.contract.release_files import FILES

KEY = "contract"
IMAGE, IMAGE_BYTES, PROBABILITIES = "image", "image_bytes", "probabilities"
FILE = "contract.json"
EXTRA = Path("assets.extra") / FILE


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
    """What the network is exported as. PyTorch's road to SavedModel and TFLite is a Keras twin,
    which a network of the user's own builder does not have."""
    own = isinstance(network.architecture, CustomNetwork)
    return ["onnx"] if own and network.framework == "torch" else list(FILES)


def to_json(contract: dict) -> str:
    """One line of ASCII: the same contract gives the same bytes in every artifact."""
    return json.dumps(contract, sort_keys=True)


def read_saved_model(directory: str | Path) -> dict:
    path = Path(directory) / EXTRA
    if not path.is_file():
        raise ValueError(f"{path} is missing: {_ADVICE}")
    return json.loads(path.read_text())


def read_tflite(path: str | Path) -> dict:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(Path(path).read_bytes(), 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == KEY.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    raise ValueError(f"{path} holds no metadata buffer {KEY!r}: {_ADVICE}")


def from_onnx_session(session, path: str | Path) -> dict:
    """The contract of an open ONNX Runtime session."""
    properties = session.get_modelmeta().custom_metadata_map
    if KEY not in properties:
        raise ValueError(f"{path} has no metadata property {KEY!r}: {_ADVICE}")
    return json.loads(properties[KEY])


_ADVICE = "expected a file written by `python -m export`; export the model again."
