"""Keras's classifiers with their ImageNet weights, Keras only:
`model.architecture=components.networks.keras_applications:EfficientNetV2B0`.

Any of keras.applications that takes pixels as they are or can be given them by one rescaling; with
a dense layer behind its average. The weights are downloaded into Keras's cache when the network is
first built.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from components.networks.custom_network import Builders
from components.networks.description import Shape

if TYPE_CHECKING:  # each framework is imported in its own process only
    import keras

_OWN_PIXELS = ("EfficientNet", "MobileNetV3", "ConvNeXt")
"""These normalise 0 to 255 by themselves."""
_MINUS_ONE_TO_ONE = ("MobileNet", "Inception", "Xception", "NASNet")
_DENSENET_MEAN, _DENSENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def __getattr__(name: str) -> Callable[[int], Builders]:
    if name.startswith("_"):
        raise AttributeError(name)
    return lambda classes: Builders(keras=lambda shape, classes: _build(name, shape, classes))


def _build(name: str, shape: Shape, classes: int) -> "keras.Model":
    import keras

    scale, offset = _rescaling(name)
    if (application := getattr(keras.applications, name, None)) is None:
        raise ValueError(f"keras.applications has no {name!r}, expected one of its classifiers.")
    if shape[-1] != 3:
        raise ValueError(f"images have {shape[-1]} channel(s), expected 3: set image.channels=3.")
    image = keras.Input(shape)
    x = image if scale is None else keras.layers.Rescaling(scale, offset)(image)
    try:
        with warnings.catch_warnings():
            # Of sizes that some weights were not trained on.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
            backbone = application(
                include_top=False, weights="imagenet", pooling="avg", input_shape=shape
            )
    except Exception as error:  # Keras turns whatever a download ends with into a bare Exception
        if "URL fetch failure" not in str(error):
            raise
        raise ValueError(
            f"the weights of {name} cannot be downloaded ({error}): go online once, or put the "
            "file into ~/.keras/models."
        ) from error
    return keras.Model(image, keras.layers.Dense(classes)(backbone(x)))


def _rescaling(name: str) -> tuple[list[float] | float | None, list[float] | float]:
    if name.startswith(_OWN_PIXELS):
        return None, 0.0
    if name.startswith("DenseNet"):
        pairs = list(zip(_DENSENET_MEAN, _DENSENET_STD))
        return [1 / (255 * std) for _, std in pairs], [-mean / std for mean, std in pairs]
    if name.startswith(_MINUS_ONE_TO_ONE) or (name.startswith("ResNet") and name.endswith("V2")):
        return 1 / 127.5, -1.0
    raise ValueError(
        f"keras.applications.{name} is not offered, expected one that begins with "
        f"{', '.join((*_OWN_PIXELS, *_MINUS_ONE_TO_ONE))} or DenseNet, or ResNet50V2, ResNet101V2 "
        "or ResNet152V2."
    )
