"""Artifact type of a model's predictions."""

from tfx.types.artifact import Artifact


class Predictions(Artifact):
    """`test.npz` and `val.npz`: the source framework's own probabilities on those splits, at the
    temperature that `calibration.json` names."""

    TYPE_NAME = "darkroom.Predictions"
