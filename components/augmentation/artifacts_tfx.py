"""Artifact type of the augmentation plan."""

from tfx.types.artifact import Artifact


class AugmentPlan(Artifact):
    """`policy.json`, `index.npy` and more, see components/augmentation/augment.py."""

    TYPE_NAME = "darkroom.AugmentPlan"
