"""PyTorch's weights under their own names, with the description of the network beside them.

One file that nothing is unpickled from: the header's metadata hold `network` (JSON of layers, image
and labels) and `contract`.
"""

from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from components.networks.network import Network, weights_file
from export.formats import contract as contracts
from export.formats.trained_model import TrainedModel

NETWORK = "network"


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the trained weights as they are, float32, and what says how to use them."""
    del precision
    weights = load_file(weights_file(model.directory, "model.safetensors"))
    described = {
        NETWORK: model.network.to_json(),
        contracts.KEY: contracts.to_json(model.contract),
    }
    save_file(weights, path, metadata=described)
    return Path(path)


def read_metadata(path: str | Path) -> dict[str, str]:
    """The header's metadata: `network` and `contract`. Raises ValueError without them."""
    with safe_open(path, "numpy") as file:
        found = file.metadata() or {}
    if not {NETWORK, contracts.KEY} <= found.keys():
        raise ValueError(f"{path} does not say what network it is of: export the model again.")
    return found


def network_of(path: str | Path) -> Network:
    """The network that the file describes."""
    return Network.from_json(read_metadata(path)[NETWORK])
