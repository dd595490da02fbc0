"""Configurations for the user's own images: folders, archives, TFDS sets, by a look at them."""

import re
import statistics
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from components.augmentation import policy
from components.augmentation.policy import AugmentConfig
from components.data.config import ImageConfig
from components.gates.model_gates import GatesConfig
from components.networks.backbones import BACKBONES
from components.networks.config import ModelConfig
from components.sources.config import DataConfig
from components.sources.open_source import LISTED, open_listed
from components.training.config import TrainConfig
from pipeline.configuration.config import RunConfig

_ARCHIVE_ENDING = re.compile(r"\.(zip|tar|tgz|tbz2?|txz)(\.\w+)?$", re.IGNORECASE)
_MIRRORED: policy.Policy = (policy.Flip(),)
_POLICY: policy.Policy = (
    *_MIRRORED,
    policy.Rotate(fraction=0.1),
    policy.Zoom(fraction=0.1),
    policy.Translate(fraction=0.1),
)


_PHOTOGRAPH = 96
"""Pixels of the median shorter side from which images are taken for photographs."""
_FEW = 20_000
"""With fewer photographs the pretrained network is more accurate than one from scratch."""
_PRETRAINED = "efficientnet_lite0"


def archive_kind(path: str) -> str | None:
    """`zip` or `tar` by the name of an archive, None where it is no archive's."""
    found = _ARCHIVE_ENDING.search(path)
    return found and ("zip" if found[1].lower() == "zip" else "tar")


INFERRED = (
    *("image.height", "image.width", "image.channels", "model.architecture"),
    *("train.epochs", "train.batch_size", "gates.min_accuracy"),
)
"""Keys whose values follow from the images, and move with them."""


def inferred_keys(preset: str, given: Iterable[str]) -> list[str]:
    """Those of INFERRED that a run of `preset` with the `given` keys left to the images."""
    if preset.partition(":")[0] not in (*LISTED, "tfds"):
        return []
    return [key for key in INFERRED if key not in set(given)]


def from_files(kind: str, path: str, architecture: str | None = None) -> RunConfig:
    """The user's own images: size, channels, network and epochs follow from a look at them.

    `kind` is folder, tar or zip; `architecture` is one that the user asks for. Few photographs, and
    whatever is asked to, get a pretrained network. For others the size is the median of up to 200
    images' shorter sides, at most 96. A model must beat always naming the most frequent class by a
    tenth of what that leaves to win; what the test split and its number of images ask for beyond
    that, the gate `majority` says when they are known.
    """
    source = open_listed(kind, path)
    resolved = Path(path).expanduser().resolve()
    shapes = [shape for file in source.sample(200) if (shape := _header(file))]
    side = round(statistics.median([min(h, w) for h, w, _ in shapes] or [32]))
    channels = max((channels for *_, channels in shapes), default=3)
    counts = source.counts()
    photographs = channels == 3 and side >= _PHOTOGRAPH and sum(counts) < _FEW
    if architecture is None and photographs:
        architecture = _PRETRAINED
    side = max(8, min(96, side))
    return _inferred(
        name=_slug(resolved.name if kind == "folder" else _ARCHIVE_ENDING.sub("", resolved.name)),
        data=DataConfig(source=f"{kind}:{resolved}"),
        image=ImageConfig(height=side, width=side, channels=channels),
        images=sum(counts),
        largest_share=max(counts) / sum(counts),
        architecture=architecture,
    )


def from_tfds(
    name: str, data_dir: str | None, label: str, architecture: str | None = None
) -> RunConfig:
    """Any TFDS set with a feature `image` and one called `label`, see `TfdsSource`; images of no
    fixed size become 64x64."""
    from components.sources.tfds_source import TfdsSource

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
        architecture=architecture,
    )


def _inferred(
    name: str,
    data: DataConfig,
    image: ImageConfig,
    images: int,
    largest_share: float,
    architecture: str | None,
) -> RunConfig:
    if architecture in BACKBONES:
        size = BACKBONES[architecture].size
        image = ImageConfig(height=size, width=size, channels=3)
        # Every image goes through the backbone once, and once more mirrored; heads learn fast.
        policies, epochs, batch_size = _MIRRORED, 40, 32
    else:
        # About 200,000 images seen, the order of what small CNNs need; early stopping may end
        # sooner.
        policies, epochs = _POLICY, max(5, min(60, round(200_000 / max(images, 1))))
        batch_size = 32 if images < 5_000 else 64
    # Two halvings leave little of less than 16 pixels.
    scratch = "digits" if min(image.height, image.width) < 16 else "cifar10"
    return RunConfig(
        name=name,
        data=data,
        image=image,
        model=ModelConfig(architecture=architecture or scratch),
        augment=AugmentConfig(keras=policies, torch=policies),
        train=TrainConfig(epochs=epochs, batch_size=batch_size),
        gates=GatesConfig(min_accuracy=round(largest_share + 0.1 * (1 - largest_share), 4)),
    )


def _header(file: BinaryIO) -> tuple[int, int, int] | None:
    """(height, width, channels) from a file's header, or None when it is not an image."""
    from PIL import Image

    from serving.contract.open_image import FORMATS

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
