"""Which frameworks a run trains."""

import pytest

from components.networks.architectures import architecture_of
from components.networks.custom_network import CustomNetwork
from components.training.config import TrainConfig
from components.training.trained import trained_frameworks

DESCRIBED = architecture_of("digits", 10)
BUILT = CustomNetwork(reference="mine:built", classes=10, frameworks=("torch",))


@pytest.mark.parametrize(
    "asked, network, expected",
    [
        ("both", DESCRIBED, ("keras", "torch")),
        ("keras", DESCRIBED, ("keras",)),
        ("torch", DESCRIBED, ("torch",)),
        ("both", BUILT, ("torch",)),
        ("torch", BUILT, ("torch",)),
    ],
)
def test_those_that_are_asked_for_are_trained_as_far_as_the_network_has_them(
    asked, network, expected
):
    assert trained_frameworks(TrainConfig(epochs=1, frameworks=asked), network) == expected


def test_one_that_the_network_has_no_builder_for_is_refused():
    with pytest.raises(ValueError, match="'keras': mine:built has a builder for torch alone"):
        trained_frameworks(TrainConfig(epochs=1, frameworks="keras"), BUILT)
