"""Whether the configured network fits the images, the classes, the loss and the search; and whether
the key for releases signs."""

from components.augmentation.policy import PadCrop
from components.augmentation.sizes import sides
from components.base.frameworks import FRAMEWORKS
from components.base.refusal import ConfigError
from components.networks.architectures import architecture_of
from components.networks.backbones import BACKBONES
from components.networks.custom_network import AnyArchitecture
from components.networks.description import Architecture, check_loss, parameter_count
from components.training.schedule import scales
from components.training.trained import trained_frameworks
from pipeline.configuration.config import RunConfig
from serving.store.release import StoreError
from serving.store.signature import check_private_key


def check_network(config: RunConfig) -> None:
    """Raises ConfigError for what is wrong whatever the number of classes, which is not known
    before the images are looked at."""
    image = config.image
    architecture = _architecture(config, 2)  # two are always possible
    _trained(config, architecture)
    try:
        architecture.placed((image.height, image.width, image.channels))
    except ValueError as error:
        raise ConfigError(f"Bad value for image or model.architecture: {error}") from error
    _check_backbone(config, architecture)
    _check_resizing(config, architecture)
    _check_reflection(config)
    # A custom description may end in another way for another number of classes.
    described = ":" in config.model.architecture and isinstance(architecture, Architecture)
    if not described:
        _check_loss(config, architecture)


def check_classes(config: RunConfig, labels: tuple[str, ...]) -> AnyArchitecture:
    """The network for these classes. Raises ConfigError when it, or the loss, does not fit them."""
    # With NumPy, which `list` and `show` have no use for.
    from components.networks.network import Network
    from components.networks.pretrained import check_weights
    from serving.contract.image_spec import ImageSpec

    architecture = _architecture(config, len(labels))
    image = ImageSpec(**config.image.model_dump())
    try:
        Network(_trained(config, architecture)[0], architecture, image, labels)
    except ValueError as error:
        raise ConfigError(f"Bad value for model.architecture: {error}") from error
    _check_loss(config, architecture)
    if architecture.backbone is not None:  # minutes before its weights are asked for
        check_weights(architecture.backbone.name)
    return architecture


def check_searched(config: RunConfig, architecture: AnyArchitecture) -> None:
    """Raises ConfigError when the network is not one of the framework's that a search trains."""
    asked, given = config.tune.framework, _trained(config, architecture)
    if asked not in given:
        chosen = config.train.frameworks
        why = f"{architecture.name} has a builder for {' and '.join(given)} alone"
        why = why if chosen == "both" else f"train.frameworks is {chosen}"
        raise ConfigError(
            f"Bad value for tune.framework: {asked!r}: {why}: expected {' or '.join(given)}."
        )


def check_signing(config: RunConfig) -> None:
    """Raises ConfigError when releases are to be signed and cannot be: hours before it is tried."""
    if config.release.signing_key is not None:
        try:
            check_private_key(config.release.signing_key)
        except StoreError as error:
            raise ConfigError(f"Bad value for release.signing_key: {error}") from error


def _architecture(config: RunConfig, classes: int) -> AnyArchitecture:
    try:
        return architecture_of(config.model.architecture, classes)
    except ValueError as error:
        raise ConfigError(f"Bad value for model.architecture: {error}") from error


def _check_backbone(config: RunConfig, architecture: AnyArchitecture) -> None:
    """What a frozen backbone asks of the images, the policies and the recipe."""
    if architecture.backbone is None:
        if config.train.finetune_epochs:
            raise ConfigError(
                f"Bad value for train.finetune_epochs: {config.train.finetune_epochs}: "
                f"architecture {architecture.name!r} has no pretrained backbone to fine-tune: "
                f"expected 0, or one of {', '.join(BACKBONES)}."
            )
        return
    name, augment = architecture.name, config.augment
    if config.image.channels != 3:
        raise ConfigError(
            f"Bad value for image.channels: {config.image.channels}: {name} is pretrained on RGB "
            "images: expected 3 (grey images become RGB)."
        )
    if augment.keras != augment.torch:
        raise ConfigError(
            f"augment.keras and augment.torch differ: {name} sees each image once for both "
            "frameworks: expected the same operations in both."
        )
    if augment.balance == "augmented":
        raise ConfigError(
            f"Bad value for augment.balance: 'augmented': {name} makes features of each image "
            "once, and not of copies: expected none, weights or oversample."
        )
    if config.train.progressive_resizing < 1:
        raise ConfigError(
            f"Bad value for train.progressive_resizing: {config.train.progressive_resizing:g}: "
            f"{name} sees whole images: expected 1."
        )


def _trained(config: RunConfig, architecture: AnyArchitecture) -> tuple[str, ...]:
    try:
        return trained_frameworks(config.train, architecture)
    except ValueError as error:
        raise ConfigError(f"Bad value for train.frameworks: {error}") from error


def _check_resizing(config: RunConfig, architecture: AnyArchitecture) -> None:
    problem, size = None, (config.image.height, config.image.width)
    for scale in scales(config.train)[:-1]:
        problem = problem or _problem_with(architecture, config.image.channels, size, scale)
    if problem:
        raise ConfigError(
            f"Bad value for train.progressive_resizing: {config.train.progressive_resizing:g}: "
            f"architecture {architecture.name!r} {problem}: expected 1, or a list of layers that "
            "ends in global_average_pool and dense layers."
        )


def _check_reflection(config: RunConfig) -> None:
    side = min(config.image.height, config.image.width)
    for framework in FRAMEWORKS:
        for operation in getattr(config.augment, framework):
            reflects = isinstance(operation, PadCrop) and operation.border == "reflect"
            if reflects and operation.padding >= side:
                raise ConfigError(
                    f"Bad value for augment.{framework}: a border of {operation.padding} pixels "
                    f"cannot reflect images of {config.image.height}x{config.image.width}: "
                    f"expected a padding below {side}."
                )


def _problem_with(
    architecture: AnyArchitecture, channels: int, size: tuple[int, int], scale: float
) -> str | None:
    """Why the same network does not take images of that scale too, or None."""
    if not isinstance(architecture, Architecture):
        return "has a builder, whose sizes are its own"
    height, width = sides(size, scale)
    try:
        smaller = parameter_count(architecture, (height, width, channels))
    except ValueError as error:
        return f"does not take images of {height}x{width} ({error})"
    if smaller != parameter_count(architecture, (*size, channels)):
        return f"has other weights for images of {height}x{width}, as networks with flatten do"
    return None


def _check_loss(config: RunConfig, architecture: AnyArchitecture) -> None:
    try:
        check_loss(architecture, config.train.loss)
    except ValueError as error:
        raise ConfigError(f"Bad value for train.loss: {error}") from error
