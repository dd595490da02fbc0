"""Presets: each a function that returns the whole configuration of one run.

A variant copies one and changes two or three fields; the command line overrides with `key=value`.
"""

import difflib
import re
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from components import policy
from components.architectures import ARCHITECTURES, layer_shapes
from components.sources import LISTED, open_listed
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

_SOURCES = "folder:PATH, tar:PATH, zip:PATH or tfds:NAME"
_ARCHIVE_ENDING = re.compile(r"\.(zip|tar|tgz|tbz2?|txz)(\.\w+)?$", re.IGNORECASE)

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


def celeba_smile() -> RunConfig:
    """CelebA's attribute Smiling, 202,599 portraits, through TFDS: two classes.

    python -m pipeline run celeba_smile [data.dir=PATH]

    The portraits of 218x178 are packed as 78x64; training crops 64x64 of that (178x178 of the
    original) at a random height, everything else crops the middle. Time and accuracy: not
    measured, as the set could not be downloaded where this was written; the gate is a guess.
    """
    return RunConfig(
        name="celeba_smile",
        data=DataConfig(source="tfds:celeb_a", label="attributes/Smiling"),
        image=ImageConfig(height=64, width=64, channels=3, margin_height=14),
        model=ModelConfig(architecture="cifar10"),
        augment=AugmentConfig(keras=(policy.Flip(),), torch=(policy.Flip(),)),
        train=TrainConfig(epochs=10, batch_size=128),
        gates=GatesConfig(min_accuracy=0.85),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
    "celeba_smile": celeba_smile,
}


def configure(name: str, overrides: dict[str, str]) -> RunConfig:
    """The configuration that `name` (a preset or a source such as folder:PATH) and the overrides
    make.

    Raises ConfigError for an unknown name, key or value, or a network that does not fit the
    images; DataRefused for a folder or archive without usable images.
    """
    config = override(_load(name, overrides), overrides)
    for key in {"data.label", "data.dir"} & overrides.keys():
        if not config.data.source.startswith("tfds:"):
            raise ConfigError(
                f"{key} is for tfds: sources, not for {config.data.source!r}: leave it out "
                "(the classes of a folder or an archive are its subfolders)."
            )
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
    if kind in LISTED and rest:
        return from_files(kind, rest)
    if kind == "tfds" and rest:
        return from_tfds(rest, overrides.get("data.dir"), overrides.get("data.label", "label"))
    if kind in (*LISTED, "tfds"):
        raise ConfigError(f"{name!r} is incomplete: expected {_SOURCES}.")
    close = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)
    raise ConfigError(
        f"Unknown preset {name!r}: did you mean {close[0]!r}? Expected one of "
        f"{', '.join(PRESETS)}, {_SOURCES}."
    )


def from_files(kind: str, path: str) -> RunConfig:
    """The user's own images: size, channels, network and epochs follow from a look at them.

    `kind` is folder, tar or zip. The size is the median of up to 200 images' shorter sides, at most
    96; a model must beat always naming the most frequent class by a tenth of what that leaves to
    win.
    """
    source = open_listed(kind, path)
    resolved = Path(path).expanduser().resolve()
    shapes = [shape for file in source.sample(200) if (shape := _header(file))]
    sides = [min(height, width) for height, width, _ in shapes] or [32]
    side = max(8, min(96, round(statistics.median(sides))))
    channels = max((channels for *_, channels in shapes), default=3)
    counts = source.counts()
    return _inferred(
        name=_slug(resolved.name if kind == "folder" else _ARCHIVE_ENDING.sub("", resolved.name)),
        data=DataConfig(source=f"{kind}:{resolved}"),
        image=ImageConfig(height=side, width=side, channels=channels),
        images=sum(counts),
        largest_share=max(counts) / sum(counts),
    )


def from_tfds(name: str, data_dir: str | None, label: str) -> RunConfig:
    """Any TFDS set with a feature `image` and one called `label`, see `TfdsSource`; images of no
    fixed size become 64x64."""
    from components.tfds_source import TfdsSource

    source = TfdsSource(name, data_dir, label)
    height, width, channels = source.image_shape
    return _inferred(
        name=_slug(name),
        data=DataConfig(source=f"tfds:{name}", dir=data_dir, label=label),
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


def _header(file: BinaryIO) -> tuple[int, int, int] | None:
    """(height, width, channels) from a file's header, or None when it is not an image."""
    from PIL import Image

    from components.open_image import FORMATS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
                return image.height, image.width, 1 if grey else 3
    except Exception:  # noqa: BLE001 - decoders raise whatever they like; ingest says what it was
        return None


def _slug(name: str) -> str:
    """A release name from a folder's or set's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-_.")[:100] or "images"
