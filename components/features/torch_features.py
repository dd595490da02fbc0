"""Features by PyTorch's backbone: `python -m components.features.torch_features ARGS.json`.

On a CPU the backbone runs in ONNX Runtime, which folds batch norm into convolutions and took a
sixth of PyTorch's processor time (EfficientNet-Lite0 in float32, one thread, the least of four
batches on a busy machine: 12 and 74 ms an image), with the same features but for rounding. Both
frameworks' heads are trained on what is made here.
"""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from components.augmentation.torch_augment import augmenter
from components.base import atomic
from components.base.commands import run
from components.base.fingerprint import fingerprint
from components.data.arrays import ImageArrays
from components.features.extract import Backbone, FeatureArgs, extract
from components.networks import torch_model
from components.networks.named_network import network_of
from components.networks.network import Network
from components.networks.pretrained import weights_path
from serving.inference.errors import NotServable
from serving.inference.onnx_runtime import open_session

_OPSET = 18


def main(args: FeatureArgs) -> None:
    """Writes the directory that `args.output` names."""
    arrays = ImageArrays(args.arrays)
    network = network_of(args.architecture, arrays.spec, tuple(arrays.labels), "torch")
    backbone = _Images(_backbone(network)).eval()
    made_by = network.backbone.model_dump(mode="json")
    augment = augmenter(args.policy, arrays.spec)

    def drawn(images: np.ndarray, seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        changed = augment(torch.from_numpy(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return changed.round().clamp(0, 255).to(torch.uint8).numpy()

    with torch.inference_mode():
        size = backbone(torch.zeros((1, *arrays.spec.shape), dtype=torch.uint8)).shape[1]

    def on_device() -> Backbone:
        if torch.cuda.is_available():
            return _on_gpu(backbone)
        path = _onnx_path(network.backbone.name, arrays.spec.shape)
        return _on_cpu(backbone, arrays.spec.shape, args.threads, path)

    extract(args, made_by, size, on_device, drawn)


def _backbone(network: Network) -> nn.Module:
    model = torch_model.build(network)
    torch_model.load_backbone(model, network)
    return torch_model.backbone_of(model, network)


class _Images(nn.Module):
    """The backbone for images uint8 (N, H, W, C)."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images.permute(0, 3, 1, 2).float())


def _on_gpu(module: nn.Module) -> Backbone:
    module = module.to("cuda", memory_format=torch.channels_last)

    @torch.inference_mode()
    def features(images: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(images).to("cuda")).cpu().numpy()

    return features


def _on_cpu(module: nn.Module, shape: tuple[int, ...], threads: int, path: Path) -> Backbone:
    """In ONNX Runtime, from the file at `path`, which is made where it is missing or damaged."""
    if path.is_file():
        try:
            return _in_onnx_runtime(path, threads)
        except NotServable:
            path.unlink(missing_ok=True)
    with atomic.replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            torch_model.traceable(module),
            (torch.zeros((2, *shape), dtype=torch.uint8),),
            temporary,
            dynamo=True,
            opset_version=_OPSET,
            input_names=["image"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    return _in_onnx_runtime(path, threads)


def _in_onnx_runtime(path: Path, threads: int) -> Backbone:
    session = open_session(path, threads, gpu=False)
    return lambda images: session.run(["features"], {"image": images})[0]


def _onnx_path(name: str, shape: tuple[int, ...]) -> Path:
    """Beside the pretrained weights, as to write it takes longer than to use it for some hundred
    images. That of other code or of another PyTorch makes way."""
    weights = weights_path(name)
    stem = f"{weights.stem}-{shape[0]}x{shape[1]}"
    code = fingerprint("components.networks.torch_model", "components.networks.backbones")
    made_by = hashlib.sha256(f"{torch.__version__} {code}".encode()).hexdigest()[:16]
    path = weights.with_name(f"{stem}-{made_by}.onnx")
    for other in weights.parent.glob(f"{stem}-*.onnx"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


if __name__ == "__main__":
    run("components.features.torch_features", FeatureArgs, main)
