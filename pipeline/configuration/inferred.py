"""Configurations for the user's own images: folders, archives, TFDS sets, by a look at them."""

import dataclasses
import functools
import re
import statistics
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from components.augmentation import policy
from components.augmentation.policy import AugmentConfig
from components.data.config import ImageConfig
from components.gates.model_gates import GatesConfig
from components.networks.backbones import BACKBONES
from components.networks.config import ModelConfig
from components.sources.config import DataConfig
from components.sources.listed_source import ListedSource
from components.sources.open_source import LISTED, open_listed
from components.training.config import TrainConfig
from pipeline.configuration.config import RunConfig

if TYPE_CHECKING:
    import numpy as np

    from components.augmentation.mirrored import Mirrored

_SEEN_MIRRORED, _MOST_BYTES = 150, 20 * 2**20
_ARCHIVE_ENDING = re.compile(r"\.(zip|tar|tgz|tbz2?|txz)(\.\w+)?$", re.IGNORECASE)
_FLIP: policy.Policy = (policy.Flip(),)
_MOVES: policy.Policy = (
    policy.Rotate(fraction=0.1),
    policy.Zoom(fraction=0.1),
    policy.Translate(fraction=0.1),
)
_PRETRAINED, _SCRATCH, _SMALL = "efficientnet_lite0", "cifar10", "digits"
_PHOTOGRAPH = 96
"""Pixels of the median shorter side from which RGB images are taken for photographs."""
_FEW = 20_000
"""Images below which photographs get the pretrained network. A network that is to learn what it
sees from scratch needs that many."""


def archive_kind(path: str) -> str | None:
    """`zip` or `tar` by the name of an archive, None where it is no archive's."""
    found = _ARCHIVE_ENDING.search(path)
    return found and ("zip" if found[1].lower() == "zip" else "tar")


INFERRED = (
    *("augment.keras", "augment.torch"),
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
    look = _look(source)
    if architecture is None and look.is_for_pretrained:
        architecture = _PRETRAINED
    side = max(8, min(96, look.side))
    return _inferred(
        name=_slug(resolved.name if kind == "folder" else _ARCHIVE_ENDING.sub("", resolved.name)),
        data=DataConfig(source=f"{kind}:{resolved}"),
        image=ImageConfig(height=side, width=side, channels=look.channels),
        images=look.images,
        largest_share=look.largest_share,
        flips=not seen_mirrored(source).harmful,
        architecture=architecture,
    )


@dataclasses.dataclass(frozen=True)
class _Look:
    """Of a set of images the median shorter `side` of up to 200 of them in pixels, their channels,
    how many there are and the share of the largest class."""

    side: int
    channels: int
    images: int
    largest_share: float

    @property
    def is_for_pretrained(self) -> bool:
        """Whether they are few photographs."""
        return self.channels == 3 and self.side >= _PHOTOGRAPH and self.images < _FEW


@functools.lru_cache(maxsize=1)
def _look(source: ListedSource) -> _Look:
    shapes = [shape for _, file in source.sample(200) if (shape := _header(file))]
    sides = [min(height, width) for height, width, _ in shapes] or [32]
    counts = source.counts()
    return _Look(
        side=round(statistics.median(sides)),
        channels=max((channels for *_, channels in shapes), default=3),
        images=sum(counts),
        largest_share=max(counts) / sum(counts),
    )


def why(preset: str, config: RunConfig) -> list[str]:
    """Lines that say what of `config` was inferred from the images of `preset`, and why."""
    kind, _, path = preset.partition(":")
    if kind not in LISTED:
        return []
    source = open_listed(kind, path)
    look = _look(source)
    pretrained = config.model.architecture in BACKBONES
    size = "what the network was pretrained on"
    if not pretrained:
        size = f"the median of the shorter sides is {look.side}, and 8 to 96 are taken"
    epochs = "a head on features learns fast" if pretrained else "by the number of images"
    return [
        f"inferred from {look.images:,} images of {len(source.labels)} classes:",
        f"  image.height, image.width: {config.image.height}x{config.image.width}, {size}",
        f"  model.architecture: {config.model.architecture}, {_why_network(look, config)}",
        f"  train.epochs, train.batch_size: {config.train.epochs} and {config.train.batch_size}, "
        f"{epochs}",
        f"  gates.min_accuracy: {config.gates.min_accuracy:g}, by the share of the largest class",
        f"  augment.keras, augment.torch: {_why_mirrored(source, config)}",
    ]


def _why_network(look: _Look, config: RunConfig) -> str:
    if config.model.architecture not in (_PRETRAINED, _SCRATCH, _SMALL):
        return "as asked for"
    kind = "RGB" if look.channels == 3 else "grey"
    facts = f"{look.images:,} {kind} images, median shorter side {look.side} pixels"
    wanted = f"photographs (RGB, {_PHOTOGRAPH} pixels or more, fewer than {_FEW:,})"
    if config.model.architecture != _PRETRAINED:
        if look.is_for_pretrained:
            return f"from scratch, as asked for; {wanted} get {_PRETRAINED} otherwise ({facts})"
        return f"from scratch: only {wanted} get the pretrained {_PRETRAINED} ({facts})"
    if look.is_for_pretrained:
        return f"pretrained: these are {wanted} ({facts}); model.architecture={_SCRATCH} is not"
    return "pretrained, as asked for"


def _why_mirrored(source: ListedSource, config: RunConfig) -> str:
    seen = seen_mirrored(source)
    flips = any(isinstance(operation, policy.Flip) for operation in config.augment.keras)
    fact = f"of {seen.images} images {seen.recognised} are told by their class"
    fact += f", {seen.mirrored} in the mirror"
    if seen.harmful and seen.into:
        own, other = (source.labels[label] for label in seen.into)
        fact += f", where {own!r} is most often taken for {other!r}"
    return f"{'with' if flips else 'without'} flip ({fact})"


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
    flips: bool = True,
) -> RunConfig:
    mirrored = _FLIP if flips else ()
    if architecture in BACKBONES:
        size = BACKBONES[architecture].size
        image = ImageConfig(height=size, width=size, channels=3)
        # Every image goes through the backbone once, and once more mirrored; a head learns fast.
        operations, epochs, batch_size = mirrored, 40, 32
    else:
        # About 200,000 images seen, the order of what small CNNs need; early stopping may end
        # sooner.
        epochs = max(5, min(60, round(200_000 / max(images, 1))))
        operations, batch_size = mirrored + _MOVES, 32 if images < 5_000 else 64
    # Two halvings leave little of less than 16 pixels.
    scratch = _SMALL if min(image.height, image.width) < 16 else _SCRATCH
    return RunConfig(
        name=name,
        data=data,
        image=image,
        model=ModelConfig(architecture=architecture or scratch),
        augment=AugmentConfig(keras=operations, torch=operations),
        train=TrainConfig(epochs=epochs, batch_size=batch_size),
        gates=GatesConfig(min_accuracy=round(largest_share + 0.1 * (1 - largest_share), 4)),
    )


@functools.lru_cache(maxsize=1)
def seen_mirrored(source: ListedSource) -> "Mirrored":
    """What mirrored copies of a sample of the source's images look like."""
    import numpy as np

    from components.augmentation.mirrored import look_in_the_mirror

    found = [
        (label, thumbnail)
        for label, file in source.sample(_SEEN_MIRRORED)
        if (thumbnail := _thumbnail(file)) is not None
    ]
    labels = np.array([label for label, _ in found], np.int64)
    return look_in_the_mirror(np.array([t for _, t in found], np.uint8), labels)


def _thumbnail(file: BinaryIO) -> "np.ndarray | None":
    """The image in grey, uint8 (32, 32), or None when it is not a good one."""
    import numpy as np

    from components.augmentation.mirrored import SIDE
    from serving.contract.open_image import open_image, upright

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image, _ = open_image(file.read(_MOST_BYTES), max_megapixels=50, enough=2 * SIDE)
            return np.asarray(upright(image, 1).resize((SIDE, SIDE), reducing_gap=2.0))
    except Exception:  # noqa: BLE001 - decoders raise whatever they like; ingest says what it was
        return None


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
