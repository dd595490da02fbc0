"""Predicts splits with a PyTorch model: `python -m components.torch_predict ARGS.json`.

Twin of `keras_predict.py`.
"""

import numpy as np
import torch

from components import torch_model
from components.arrays import ImageArrays, Split
from components.training import PredictArgs, open_split, run, save_predictions

BATCH = 250


def main(args: PredictArgs) -> None:
    """Writes the npz files that `args.outputs` names."""
    arrays, model = ImageArrays(args.arrays), torch_model.load(args.model_dir)
    for name, output in args.outputs.items():
        split = open_split(arrays, name)
        save_predictions(output, predict(model, split), split.labels)


@torch.inference_mode()
def predict(model: torch.nn.Module, split: Split) -> np.ndarray:
    """Probabilities float32 (N, classes) of a network that gives logits, in the split's order."""
    found = []
    for images, _ in split.batches(BATCH):
        logits = model(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        found.append(logits.softmax(1).numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    run("components.torch_predict", PredictArgs, main)
