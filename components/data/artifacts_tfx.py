"""Artifact types of the line beside TFX's standard ones."""

from tfx.types.artifact import Artifact


class IngestReport(Artifact):
    """`accounting.json`: images read, good and quarantined; `labels.json`: class names;
    `findings.csv`: what was found in single files; `images.csv`: the images that stay."""

    TYPE_NAME = "darkroom.IngestReport"


class ImageArraysArtifact(Artifact):
    """Memory-mapped uint8 arrays, see components/data/arrays.py."""

    TYPE_NAME = "darkroom.ImageArrays"
