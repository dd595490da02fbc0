"""Predicts splits with a PyTorch model: `python -m components.evaluation.torch_predict ARGS.json`.

Twin of `keras_predict.py`.
"""

import numpy as np
import torch

from components.base.commands import run
from components.data.arrays import Split
from components.evaluation.predictions import PredictArgs, splits, write
from components.networks import torch_model
from components.networks.network import Network

AT_A_TIME = 250


def main(args: PredictArgs) -> None:
    """Writes the files that `args` name."""
    model, asked = torch_model.load(args.model_dir), splits(args)
    architecture = Network.load(args.model_dir).architecture
    given = {name: outputs(model, split) for name, split in asked.items()}

    def probabilities(name: str, temperature: float) -> np.ndarray:
        return torch_model.probabilities(given[name], architecture, temperature).numpy()

    write(args, probabilities, {name: split.labels for name, split in asked.items()})


@torch.inference_mode()
def outputs(model: torch.nn.Module, split: Split) -> torch.Tensor:
    """What the network gives, float32 (N, units), in the split's order."""
    batches = split.batches(AT_A_TIME)
    images = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() for batch, _ in batches)
    return torch.cat([model(batch) for batch in images])


if __name__ == "__main__":
    run("components.evaluation.torch_predict", PredictArgs, main)
