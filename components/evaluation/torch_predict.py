"""Predicts splits with a PyTorch model: `python -m components.evaluation.torch_predict ARGS.json`.

Twin of `keras_predict.py`.
"""

import numpy as np
import torch

from components.base.commands import run
from components.data.arrays import ImageArrays, Split, open_split
from components.evaluation.predictions import PredictArgs, save_predictions
from components.networks import torch_model
from components.networks.custom_network import AnyArchitecture
from components.networks.network import Network
from components.networks.torch_model import probabilities

AT_A_TIME = 250


def main(args: PredictArgs) -> None:
    """Writes the npz files that `args.outputs` names."""
    arrays, model = ImageArrays(args.arrays), torch_model.load(args.model_dir)
    architecture = Network.load(args.model_dir).architecture
    for name, output in args.outputs.items():
        split = open_split(arrays, name)
        save_predictions(output, predict(model, architecture, split), split.labels)


@torch.inference_mode()
def predict(model: torch.nn.Module, architecture: AnyArchitecture, split: Split) -> np.ndarray:
    """Probabilities float32 (N, classes) of a network of `architecture`, in the split's order."""
    found = []
    for images, _ in split.batches(AT_A_TIME):
        outputs = model(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        found.append(probabilities(outputs, architecture).numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    run("components.evaluation.torch_predict", PredictArgs, main)
