"""Corrupted copies of test images, on which robustness is measured: which, and how strong.

`torch_corruptions.py` makes them with torchvision, once, so that both frameworks are asked about
the same bytes: ImageArrays with a split for each corruption. Kinds and strengths are those of
Hendrycks and Dietterich 2019 (arXiv:1903.12261), severity 3 of 5 as their CIFAR-10-C has it; blur
grows with the images, from there to their ImageNet-C.
"""

from pathlib import Path

import numpy as np

from components.base.commands import Arguments
from components.evaluation.predictions import load_predictions, named_rightly

CORRUPTIONS = {"noise": 0.08, "blur": 3 / 224, "brightness": 1.4, "contrast": 0.4, "jpeg": 58.0}
"""Name to strength: noise's standard deviation as a share of white, blur's of the shorter side
(0.7 pixels at least), the factors of brightness and of the distance to the mean grey, JPEG's
quality."""

MOST_IMAGES = 1_000
"""Spread evenly over the test split; tells accuracies apart to some three points."""


class CorruptArgs(Arguments):
    """Arguments of `torch_corruptions`."""

    arrays: Path
    """ImageArrays directory; only its split `test` is read."""
    output: Path
    """Directory for the corrupted images, ImageArrays with one split for each corruption."""
    corruptions: dict[str, float] = CORRUPTIONS


def robustness(predictions: Path) -> dict[str, float]:
    """Accuracy under each corruption whose predictions `NAME.npz` lie in that directory."""
    found = {}
    for name in CORRUPTIONS:
        if (path := predictions / f"{name}.npz").is_file():
            found[name] = float(np.mean(named_rightly(*load_predictions(path))))
    return found
