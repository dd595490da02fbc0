"""A Keras network's layers as built: `python -m components.networks.keras_summary ARGS.json`.

Twin of `torch_summary.py`.
"""

import keras

from components.base.commands import run
from components.networks import built_layers, keras_model
from components.networks.built_layers import BuiltLayer, SummaryArgs
from components.networks.network import Network


def main(args: SummaryArgs) -> None:
    """Writes the JSON file that `args.output` names."""
    built_layers.write(layers(keras_model.build(Network.load(args.network))), args.output)


def layers(model: keras.Model) -> list[BuiltLayer]:
    """Every layer but the input, in the order of the model."""
    return [
        BuiltLayer(
            name=layer.name,
            shape=tuple(layer.output.shape[1:]),
            trainable=_size(layer.trainable_weights),
            # Random generators have states that are no weights.
            statistics=layer.count_params() - _size(layer.trainable_weights),
        )
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def _size(weights: list[keras.Variable]) -> int:
    return sum(int(keras.ops.size(weight)) for weight in weights)


if __name__ == "__main__":
    run("components.networks.keras_summary", SummaryArgs, main)
