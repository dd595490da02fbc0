"""A trained model as all formats are made from it."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from components.networks.network import Network
from export.formats import calibration_images, lineage, twin
from export.formats import contract as contracts


class TrainedModel:
    """The model in a trainer's model directory, read as far as a format asks for it.

    `transform_graph` is the directory of the Transform step's artifact, or None: then there is no
    `serving_bytes`. `temperature` is what logits are divided by, as evaluation found it. `arrays`,
    the ImageArrays directory, and `calibration_count` are for formats that need training images.
    Raises ValueError when the directory holds no model of `framework`, where that is given.
    """

    def __init__(
        self,
        directory: str | Path,
        framework: str | None = None,
        transform_graph: str | Path | None = None,
        contract: dict | None = None,
        temperature: float = 1.0,
        arrays: str | Path | None = None,
        calibration_count: int = 512,
    ):
        self.directory, self.transform_graph = Path(directory), transform_graph
        self.temperature = contract["temperature"] if contract else temperature
        self.arrays, self.calibration_count = arrays, calibration_count
        self.network = Network.load(directory)
        if framework is not None and self.network.framework != framework:
            raise ValueError(
                f"{directory} holds a model of {self.network.framework}, expected {framework}."
            )
        self._contract = contract

    @functools.cached_property
    def weights(self) -> twin.Weights:
        """By name, in Keras's layout. Keras's own are read with TensorFlow, PyTorch's without."""
        if self.network.framework == "torch":
            return twin.load_torch_weights(self.directory, self.network)
        return twin.keras_weights(self.keras_model, self.network)

    @functools.cached_property
    def keras_model(self) -> Any:
        """The Keras model in float32, for a PyTorch model its twin."""
        if self.network.framework == "torch":
            return twin.to_keras(self.weights, self.network)
        return twin.load_keras(self.directory)

    @functools.cached_property
    def torch_model(self) -> Any:
        """The PyTorch model in eval mode; only of a PyTorch model's directory."""
        from components.networks import torch_model

        return torch_model.load(self.directory)

    @functools.cached_property
    def contract(self) -> dict:
        """What every artifact of it promises, see contract.py."""
        if self._contract is not None:
            return self._contract
        identity = lineage.identify(
            self.network,
            self.weights,
            with_transform=self.transform_graph is not None,
            temperature=self.temperature,
        )
        return contracts.build(self.network, identity, self.temperature)

    @functools.cached_property
    def inference(self) -> Any:
        """`inference.Inference`: the graphs that TensorFlow's formats hold."""
        from export.formats.inference import inference

        return inference(
            self.keras_model, self.network.architecture, self.transform_graph, self.temperature
        )

    @functools.cached_property
    def torch_inference(self) -> Any:
        """A `torch.nn.Module` from `image` to `probabilities`: what PyTorch's own formats hold."""
        from export.formats.torch_inference import torch_inference

        return torch_inference(self.torch_model, self.network.architecture, self.temperature)

    @functools.cached_property
    def calibration(self) -> calibration_images.CalibrationImages:
        """Training images for int8 formats. Raises ValueError where no arrays were given."""
        if self.arrays is None:
            raise ValueError("int8 formats need the training images: give the arrays' directory.")
        return calibration_images.draw(self.arrays, self.calibration_count)

    @property
    def calibration_images(self) -> np.ndarray:
        """uint8 (n, H, W, C)."""
        return self.calibration.images
