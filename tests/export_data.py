"""Small real exports' ingredients: digits as ImageArrays, networks with random weights and moving
statistics, and their own predictions."""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from components.architectures import ARCHITECTURES
from components.image_spec import ImageSpec
from components.network import Network

SPECS = {
    "digits": ImageSpec(8, 8, 1, (0.3,), (0.4,)),
    "mnist": ImageSpec(28, 28, 1, (0.13,), (0.31,)),
    "cifar10": ImageSpec(32, 32, 3, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
}
LABELS = tuple("0123456789")


def network(framework: str, name: str = "digits") -> Network:
    return Network(framework, ARCHITECTURES[name](10), SPECS[name], LABELS)


def random_weights(description: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """A weight of the right shape for every name, the same for the same seed; moving statistics
    far from their start."""
    from components import keras_model
    from export import twin

    generator = np.random.default_rng(seed)
    weights = {}
    for name, start in twin.keras_weights(keras_model.build(description), description).items():
        if name.endswith("kernel"):
            scale = np.prod(start.shape[:-1]) ** -0.5
            weights[name] = generator.normal(0, scale, start.shape)
        elif name.endswith("moving_variance"):
            weights[name] = generator.uniform(0.3, 2, start.shape)
        else:
            weights[name] = generator.normal(0, 0.3, start.shape)
    return {name: array.astype(np.float32) for name, array in weights.items()}


def digits_arrays(directory: Path, test_images: int = 300) -> Path:
    """An ImageArrays directory with nothing but the split `test`, in two shards."""
    digits = load_digits()
    images = (digits.images * 255 / 16).round().astype(np.uint8)[:test_images, :, :, None]
    labels = digits.target[:test_images].astype(np.int64)
    (directory / "test").mkdir(parents=True)
    (directory / "image_spec.json").write_text(SPECS["digits"].to_json())
    (directory / "labels.json").write_text(json.dumps(LABELS))
    half = test_images // 2
    for shard, rows in enumerate((slice(0, half), slice(half, None))):
        np.save(directory / f"test/images-{shard:05d}.npy", images[rows])
        np.save(directory / f"test/labels-{shard:05d}.npy", labels[rows])
    return directory


def keras_probabilities(model, images: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    return tf.nn.softmax(model(images.astype(np.float32), training=False)).numpy()


def torch_probabilities(module, images: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        logits = module(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        return torch.softmax(logits, 1).numpy()
