"""Small real exports' ingredients: digits as ImageArrays, networks with random weights and moving
statistics, and their own predictions."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from components.data.arrays import ImageArrays
from components.networks.architectures import ARCHITECTURES
from components.networks.network import Network
from export.verification import held_out
from serving.contract.image_spec import ImageSpec

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
    from components.networks import keras_model
    from export.formats import twin

    generator = np.random.default_rng(seed)
    weights = {}
    for name, start in twin.keras_weights(keras_model.build(description), description).items():
        if name.endswith("kernel"):
            # Of what goes into one number that comes out: a depthwise kernel sees one channel.
            sides = start.shape[:2] if "depthwise" in name else start.shape[:-1]
            scale = np.prod(sides) ** -0.5
            weights[name] = generator.normal(0, scale, start.shape)
        elif name.endswith("moving_variance"):
            weights[name] = generator.uniform(0.3, 2, start.shape)
        else:
            # A gain near zero would let nothing of the image through.
            weights[name] = generator.normal(name.endswith("gamma"), 0.3, start.shape)
    return {name: array.astype(np.float32) for name, array in weights.items()}


def random_module(description: Network, seed: int = 0):
    """A PyTorch network in eval mode with weights as random as `random_weights`."""
    import torch

    from components.networks import torch_model

    module = torch_model.build(description)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.3, 2, generator=generator)
        elif tensor.is_floating_point():
            scale = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.3
            gain = name.endswith("weight") and tensor.ndim == 1
            tensor.normal_(float(gain), scale, generator=generator)
    return module.eval()


def digits_arrays(directory: Path, test: int = 300, val: int = 0, train: int = 0) -> Path:
    """An ImageArrays directory with the splits `test` and, behind it in the digits, `val` and
    `train`, in two shards each."""
    digits = load_digits()
    images = (digits.images * 255 / 16).round().astype(np.uint8)[:, :, :, None]
    labels = digits.target.astype(np.int64)
    splits = ("test", 0, test), ("val", test, val), ("train", test + val, train)
    for split, first, count in splits:
        (directory / split).mkdir(parents=True)
        for shard, rows in enumerate(np.array_split(np.arange(first, first + count), 2)):
            np.save(directory / split / f"images-{shard:05d}.npy", images[rows])
            np.save(directory / split / f"labels-{shard:05d}.npy", labels[rows])
    (directory / "image_spec.json").write_text(SPECS["digits"].to_json())
    (directory / "labels.json").write_text(json.dumps(LABELS))
    return directory


def write_predictions(directory: Path, arrays: Path, predict: Callable) -> Path:
    """A predictions directory for both held-out splits; `predict` maps images to probabilities."""
    directory.mkdir(exist_ok=True)
    for name in held_out.SPLITS:
        split = ImageArrays(arrays).split(name)
        if len(split):
            probabilities = predict(split.images(np.arange(len(split))))
            np.savez(directory / f"{name}.npz", probabilities=probabilities, labels=split.labels)
    return directory


def keras_probabilities(model, images: np.ndarray, description: Network | None = None):
    """Of a model of `description`, by default the digits network: float32 (N, classes)."""
    from components.networks.keras_model import probabilities

    architecture = (description or network("keras")).architecture
    return probabilities(model(images.astype(np.float32), training=False), architecture).numpy()


def torch_probabilities(module, images: np.ndarray, description: Network | None = None):
    """Of a module of `description`, by default the digits network: float32 (N, classes)."""
    import torch

    from components.networks.torch_model import probabilities

    architecture = (description or network("torch")).architecture
    with torch.inference_mode():
        outputs = module(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        return probabilities(outputs, architecture).numpy()


def transform_graph(directory: Path, spec: ImageSpec = SPECS["digits"]) -> Path:
    """The line's own transform, traced as TFX's Transform does where there are no analyzers."""
    import tensorflow as tf
    from tensorflow_transform import impl_helper

    from components.data.transform_tfx import preprocessing_fn

    config = {"image_spec": spec.to_json()}
    features = {
        "image_bytes": tf.io.FixedLenFeature([1], tf.string),
        "label": tf.io.FixedLenFeature([1], tf.int64),
        "sha256": tf.io.VarLenFeature(tf.string),
    }
    types = {
        "image_bytes": tf.TensorSpec([None, 1], tf.string),
        "label": tf.TensorSpec([None, 1], tf.int64),
        "sha256": tf.SparseTensorSpec([None, None], tf.string),
    }
    impl_helper.analyze_in_place(
        lambda inputs: preprocessing_fn(inputs, config),
        False,
        features,
        types,
        str(directory),
    )
    return directory
