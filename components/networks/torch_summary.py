"""A PyTorch network's layers as built: `python -m components.networks.torch_summary ARGS.json`.

Twin of `keras_summary.py`.
"""

import torch
from torch import nn

from components.base.commands import run
from components.networks import built_layers, torch_model
from components.networks.built_layers import BuiltLayer, SummaryArgs
from components.networks.network import Network


def main(args: SummaryArgs) -> None:
    """Writes the JSON file that `args.output` names."""
    network = Network.load(args.network)
    found = layers(torch_model.build(network), network.spec.shape)
    built_layers.write(found, args.output)


@torch.inference_mode()
def layers(module: nn.Module, shape: tuple[int, int, int]) -> list[BuiltLayer]:
    """Every layer in the order in which an image of (H, W, C) goes through, as it comes out."""
    found: dict[str, BuiltLayer] = {}

    def note(name: str, layer: nn.Module, output: torch.Tensor | None) -> None:
        found[name] = BuiltLayer(
            name=name,
            shape=tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else (),
            trainable=sum(p.numel() for p in layer.parameters(recurse=False)),
            statistics=_statistics(layer),
        )

    named = {name: layer for name, layer in module.named_modules() if name}
    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: note(name, layer, output))
        for name, layer in named.items()
    ]
    height, width, channels = shape
    module.eval()(torch.zeros((1, channels, height, width)))
    for hook in hooks:
        hook.remove()
    # A custom network may have weights that no layer of its own uses by being called.
    for name, layer in {**named, "(itself)": module}.items():
        if name not in found and next(layer.parameters(recurse=False), None) is not None:
            note(name, layer, None)
    return list(found.values())


def _statistics(layer: nn.Module) -> int:
    """Batch norm's, without its counter of steps."""
    own = layer.named_buffers(recurse=False)
    return sum(buffer.numel() for name, buffer in own if name != "num_batches_tracked")


if __name__ == "__main__":
    run("components.networks.torch_summary", SummaryArgs, main)
