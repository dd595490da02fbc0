"""Predicts splits with a PyTorch model: `python -m components.torch_predict ARGS.json`.

Twin of `keras_predict.py`.
"""

import numpy as np
import torch

from components import torch_model
from components.arrays import ImageArrays, Split
from components.commands import run
from components.network import Network
from components.own_network import AnyArchitecture
from components.plan import open_split
from components.torch_model import probabilities
from components.training import PredictArgs, save_predictions

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
    run("components.torch_predict", PredictArgs, main)
