"""Which frameworks a run trains: the one place that knows both its recipe and its network."""

from components.networks.custom_network import AnyArchitecture, frameworks_of
from components.training.config import TrainConfig


def trained_frameworks(train: TrainConfig, architecture: AnyArchitecture) -> tuple[str, ...]:
    """Those of `train.frameworks` that the network can be built in, in a fixed order.

    Raises ValueError when that names one that the network has no builder for.
    """
    given = frameworks_of(architecture)
    if train.frameworks == "both":
        return given
    if train.frameworks not in given:
        (only,) = given
        raise ValueError(
            f"{train.frameworks!r}: {architecture.name} has a builder for {only} alone, expected "
            f"train.frameworks={only} or both."
        )
    return (train.frameworks,)
