"""`model.architecture=tests.helpers.small_network:perceptron`: in PyTorch alone, which halves the
time of a run, and with nothing imported before it is built."""

from components.networks.custom_network import Builders


def perceptron(classes: int) -> Builders:
    """One hidden layer of 64 on grey images of 8x8."""
    del classes
    return Builders(torch=_perceptron)


def _perceptron(shape: tuple[int, int, int], classes: int):
    from torch import nn

    class Perceptron(nn.Sequential):
        def forward(self, x):
            return super().forward(x / 255)

    inputs = shape[0] * shape[1] * shape[2]
    return Perceptron(nn.Flatten(), nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, classes))
