"""Real photographs without a download, and a network that has learned from millions of others."""

import numpy as np
from sklearn.datasets import load_sample_images

from components.networks.architectures import ARCHITECTURES
from components.networks.backbones import BACKBONES
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec


def photographs(side: int = 224) -> np.ndarray:
    """uint8 (4, side, side, 3): the middle and a corner of each of scikit-learn's two photographs,
    untouched by any resizing."""
    found = []
    for image in load_sample_images().images:
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        found += [image[top : top + side, left : left + side], image[-side:, -side:]]
    return np.stack(found)


def pretrained_network(
    framework: str, name: str = "efficientnet_lite0", classes: int = 1000, side: int | None = None
) -> Network:
    """The backbone called `name` and a head, normalising as it wants it."""
    backbone = BACKBONES[name]
    side = side or backbone.size
    spec = ImageSpec(side, side, 3, (backbone.mean / 255,) * 3, (backbone.scale / 255,) * 3)
    labels = tuple(str(number) for number in range(classes))
    return Network(framework, ARCHITECTURES[name](classes), spec, labels)
