"""Inference as a PyTorch module, of which ONNX files and PyTorch programs are made."""

from typing import Any

import torch

from components.networks import torch_model
from components.networks.custom_network import AnyArchitecture


class TorchInference(torch.nn.Module):
    """`image` uint8 (N, H, W, C) to `probabilities` float32 (N, classes) by a `network` of
    `architecture` (float32 NCHW in), whose logits are divided by `temperature`."""

    def __init__(self, network: torch.nn.Module, architecture: AnyArchitecture, temperature: float):
        super().__init__()
        self.network, self.architecture, self.temperature = network, architecture, temperature

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        outputs = self.network(image.permute(0, 3, 1, 2).float())
        return torch_model.probabilities(outputs, self.architecture, self.temperature)


def torch_inference(
    network: Any, architecture: AnyArchitecture, temperature: float = 1.0
) -> TorchInference:
    """The module in eval mode, to run or to trace."""
    return TorchInference(torch_model.traceable(network), architecture, temperature).eval()


def example(shape: tuple[int, ...]) -> torch.Tensor:
    """Images to trace with, uint8 (3, H, W, C): a batch of 0 or 1 would be taken for a constant."""
    return torch.zeros((3, *shape), dtype=torch.uint8)
