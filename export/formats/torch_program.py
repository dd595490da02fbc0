"""PyTorch's own program (`torch.export`): opened by PyTorch alone, without the code of a network.

`torch.export.load("model.pt2").module()(images)` gives the probabilities.
"""

import warnings
from pathlib import Path

import torch

from export.formats import contract as contracts
from export.formats.torch_inference import example
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import CONTRACT

BATCH = "batch"


def export(model: TrainedModel, path: str | Path, precision: str = "float32") -> Path:
    """Writes the model as a `.pt2` file, with the contract as its extra file."""
    del precision
    images = example(model.network.spec.shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", module=r"torch\.")
        program = torch.export.export(
            model.torch_inference, (images,), dynamic_shapes=({0: torch.export.Dim(BATCH)},)
        )
        for node in program.graph.nodes:
            # Where on this machine the network's code lies is nobody's business.
            node.meta.pop("stack_trace", None)
            node.meta.pop("nn_module_stack", None)
            node.meta.pop("source_fn_stack", None)
        torch.export.save(
            program, path, extra_files={CONTRACT: contracts.to_json(model.contract) + "\n"}
        )
    return Path(path)
