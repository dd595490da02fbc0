"""Artifact type of features."""

from tfx.types.artifact import Artifact


class Features(Artifact):
    """Memory-mapped features of every image, see components/features/feature_arrays.py."""

    TYPE_NAME = "darkroom.Features"


class CrossValidation(Artifact):
    """Predictions of every image by a head that did not learn from it, see cross_validate.py."""

    TYPE_NAME = "darkroom.CrossValidation"
