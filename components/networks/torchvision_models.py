"""torchvision's classifiers with their ImageNet weights, PyTorch only:
`model.architecture=components.networks.torchvision_models:resnet18`.

Any that torchvision has by that name whose last layer is a dense one; that layer is made anew. The
weights are downloaded into PyTorch's cache when the network is first built.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.error import URLError

from components.networks.custom_network import Builders
from components.networks.description import Shape

if TYPE_CHECKING:  # each framework is imported in its own process only
    from torch import nn


def __getattr__(name: str) -> Callable[[int], Builders]:
    if name.startswith("_"):
        raise AttributeError(name)
    return lambda classes: Builders(torch=lambda shape, classes: _build(name, shape, classes))


def _build(name: str, shape: Shape, classes: int) -> "nn.Module":
    import torch
    import torchvision.models
    from torch import nn

    from components.networks.torch_layers import Normalise

    if name not in torchvision.models.list_models(torchvision.models):
        raise ValueError(f"torchvision.models has no {name!r}, expected a name of its classifiers.")
    if shape[-1] != 3:
        raise ValueError(f"images have {shape[-1]} channel(s), expected 3: set image.channels=3.")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise ValueError(
            f"the weights of {name} cannot be downloaded ({error}): go online once, or put "
            f"{weights.url} into {torch.hub.get_dir()}/checkpoints."
        ) from error
    module = torchvision.models.get_model(name, num_classes=len(weights.meta["categories"]))
    module.load_state_dict(state)
    *_, (last, dense) = module.named_modules()
    if not isinstance(dense, nn.Linear):
        raise ValueError(f"{name} ends with {dense}, expected a dense layer: choose another one.")
    module.set_submodule(last, nn.Linear(dense.in_features, classes))
    seen = weights.transforms()
    std, mean = (torch.tensor(of).reshape(1, -1, 1, 1) for of in (seen.std, seen.mean))
    return nn.Sequential(Normalise(1 / (255 * std), -mean / std), module)
