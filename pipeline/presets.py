"""Presets: each a function that returns the whole configuration of one run.

A variant copies one and changes two or three fields; the command line overrides with `key=value`.
"""

import difflib
import re
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

from components import policy
from components.architectures import ARCHITECTURES, layer_shapes
from pipeline.config import (
    AugmentConfig,
    ConfigError,
    DataConfig,
    GatesConfig,
    ImageConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    override,
)

_TUTORIAL_POLICIES = AugmentConfig(
    keras=(
        policy.Flip(),
        policy.Rotate(fraction=0.1),
        policy.Zoom(fraction=0.1),
        policy.Translate(fraction=0.1),
    ),
    torch=(
        policy.Flip(),
        policy.PadCrop(padding=4),
        policy.Brightness(fraction=0.2),
        policy.Contrast(fraction=0.2),
    ),
)


def digits() -> RunConfig:
    """scikit-learn's 1,797 handwritten digits, 8x8 grey; nothing to download.

    python -m pipeline run digits
    """
    gentle = (
        policy.Translate(fraction=0.08),
        policy.Rotate(fraction=0.03),
        policy.Zoom(fraction=0.1),
    )
    return RunConfig(
        name="digits",
        data=DataConfig(source="digits"),
        image=ImageConfig(height=8, width=8, channels=1),
        model=ModelConfig(architecture="digits"),
        augment=AugmentConfig(keras=gentle, torch=gentle),
        train=TrainConfig(epochs=30, batch_size=32),
        gates=GatesConfig(min_accuracy=0.97),
    )


def mnist() -> RunConfig:
    """MNIST, 70,000 handwritten digits, 28x28 grey, through TFDS.

    python -m pipeline run mnist [data.dir=PATH]
    """
    gentle = (policy.Translate(fraction=0.05), policy.Rotate(fraction=0.02))
    return RunConfig(
        name="mnist",
        data=DataConfig(source="tfds:mnist"),
        image=ImageConfig(height=28, width=28, channels=1),
        model=ModelConfig(architecture="mnist"),
        augment=AugmentConfig(keras=gentle, torch=gentle),
        train=TrainConfig(epochs=10, batch_size=128, learning_rate=2e-3),
        gates=GatesConfig(min_accuracy=0.98),
    )


def cifar10() -> RunConfig:
    """CIFAR-10, 60,000 photographs, 32x32 RGB, through TFDS, with the tutorial network.

    python -m pipeline run cifar10 [data.dir=PATH]
    """
    return RunConfig(
        name="cifar10",
        data=DataConfig(source="tfds:cifar10"),
        image=ImageConfig(height=32, width=32, channels=3),
        model=ModelConfig(architecture="cifar10"),
        augment=_TUTORIAL_POLICIES,
        train=TrainConfig(epochs=50, batch_size=64),
        gates=GatesConfig(min_accuracy=0.65),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
}


def configure(name: str, overrides: dict[str, str]) -> RunConfig:
    """The configuration that `name` (a preset, folder:PATH or tfds:NAME) and the overrides make.

    Raises ConfigError for an unknown name, key or value, or a network that does not fit the
    images; DataRefused for a folder without usable images.
    """
    config = override(_load(name, overrides), overrides)
    if config.model.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"Bad value for model.architecture: {config.model.architecture!r}: expected one of "
            f"{', '.join(sorted(ARCHITECTURES))}."
        )
    image = config.image
    try:
        architecture = ARCHITECTURES[config.model.architecture](2)
        layer_shapes(architecture, (image.height, image.width, image.channels))
    except ValueError as error:
        raise ConfigError(f"Bad value for image or model.architecture: {error}") from error
    return config


def _load(name: str, overrides: dict[str, str]) -> RunConfig:
    """Before overrides; those that say where data lies are needed to look at it."""
    if name in PRESETS:
        return PRESETS[name]()
    kind, _, rest = name.partition(":")
    if kind == "folder" and rest:
        return from_folder(rest)
    if kind == "tfds" and rest:
        return from_tfds(rest, overrides.get("data.dir"))
    if kind in ("folder", "tfds"):
        raise ConfigError(f"{name!r} is incomplete: expected folder:PATH or tfds:NAME.")
    close = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)
    raise ConfigError(
        f"Unknown preset {name!r}: did you mean {close[0]!r}? Expected one of "
        f"{', '.join(PRESETS)}, folder:PATH or tfds:NAME."
    )


def from_folder(path: str) -> RunConfig:
    """The user's own images: size, channels, network and epochs follow from a look at them.

    The size is the median of up to 200 images' shorter sides, at most 96; a model must beat
    always naming the most frequent class by a tenth of what that leaves to win.
    """
    from components.sources import FolderSource

    folder = FolderSource(path)
    shapes = [shape for file in folder.sample(200) if (shape := _header(file))]
    sides = [min(height, width) for height, width, _ in shapes] or [32]
    side = max(8, min(96, round(statistics.median(sides))))
    channels = max((channels for *_, channels in shapes), default=3)
    counts = folder.counts()
    return _inferred(
        name=_slug(Path(path).expanduser().resolve().name),
        data=DataConfig(source=f"folder:{Path(path).expanduser().resolve()}"),
        image=ImageConfig(height=side, width=side, channels=channels),
        images=sum(counts),
        largest_share=max(counts) / sum(counts),
    )


def from_tfds(name: str, data_dir: str | None) -> RunConfig:
    """Any TFDS set with features `image` and `label`; images of no fixed size become 64x64."""
    from components.tfds_source import TfdsSource

    source = TfdsSource(name, data_dir)
    height, width, channels = source.image_shape
    return _inferred(
        name=_slug(name),
        data=DataConfig(source=f"tfds:{name}", dir=data_dir),
        image=ImageConfig(
            height=min(height or 64, 96),
            width=min(width or 64, 96),
            channels=1 if channels == 1 else 3,
        ),
        images=source.images,
        largest_share=1 / len(source.labels),
    )


def _inferred(
    name: str, data: DataConfig, image: ImageConfig, images: int, largest_share: float
) -> RunConfig:
    side = min(image.height, image.width)
    architecture = "digits" if side < 16 else "mnist" if side < 32 else "cifar10"
    # About 200,000 images seen, the order of what small CNNs need; early stopping may end sooner.
    epochs = max(5, min(60, round(200_000 / max(images, 1))))
    return RunConfig(
        name=name,
        data=data,
        image=image,
        model=ModelConfig(architecture=architecture),
        augment=_TUTORIAL_POLICIES.model_copy(update={"torch": _TUTORIAL_POLICIES.keras}),
        train=TrainConfig(epochs=epochs, batch_size=32 if images < 5_000 else 64),
        gates=GatesConfig(min_accuracy=round(largest_share + 0.1 * (1 - largest_share), 4)),
    )


def _header(path: Path) -> tuple[int, int, int] | None:
    """(height, width, channels) from a file's header, or None when it is not an image."""
    from PIL import Image

    from components.examine import FORMATS

    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
            return image.height, image.width, 1 if grey else 3
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _slug(name: str) -> str:
    """A release name from a folder's or set's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-_.")[:100] or "images"
