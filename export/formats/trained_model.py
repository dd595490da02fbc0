"""A trained model as all formats are made from it."""

import functools
from pathlib import Path
from typing import Any

from components.networks.network import Network
from export.formats import contract as contracts
from export.formats import lineage, twin


class TrainedModel:
    """The model in a trainer's model directory, read as far as a format asks for it.

    `transform_graph` is the directory of the Transform step's artifact, or None: then there is no
    `serving_bytes`. Raises ValueError when the directory holds no model of `framework`.
    """

    def __init__(
        self,
        directory: str | Path,
        framework: str,
        transform_graph: str | Path | None = None,
        contract: dict | None = None,
    ):
        self.directory, self.transform_graph = Path(directory), transform_graph
        self.network = Network.load(directory)
        if self.network.framework != framework:
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
    def contract(self) -> dict:
        """What every artifact of it promises, see contract.py."""
        if self._contract is not None:
            return self._contract
        identity = lineage.identify(
            self.network, self.weights, with_transform=self.transform_graph is not None
        )
        return contracts.build(self.network, identity)

    @functools.cached_property
    def inference(self) -> Any:
        """`inference.Inference`: the graphs that TensorFlow's formats hold."""
        from export.formats.inference import inference

        return inference(self.keras_model, self.network.architecture, self.transform_graph)
