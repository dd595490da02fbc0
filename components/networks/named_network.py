"""The network that a configuration names, for its images and classes.

On its own, so that a trained network, which knows its layers, does not depend on the list of
architectures.
"""

import dataclasses

from components.networks.architectures import architecture_of
from components.networks.backbones import BACKBONES
from components.networks.network import Network
from serving.contract.image_spec import ImageSpec


def network_of(
    architecture: str, spec: ImageSpec, labels: tuple[str, ...], framework: str
) -> Network:
    """The network that `architecture` names, for those images and classes.

    One with a pretrained backbone gets its images normalised as those that the backbone learned
    from, whatever the `mean` and `std` of `spec`. Raises ValueError for an unknown architecture,
    too small images, or labels that it does not fit.
    """
    found = architecture_of(architecture, len(labels))
    if found.backbone is not None:
        own = BACKBONES[found.backbone.name]
        channels = spec.channels
        mean, std = (own.mean / 255,) * channels, (own.scale / 255,) * channels
        spec = dataclasses.replace(spec, mean=mean, std=std)
    return Network(framework, found, spec, tuple(labels))
