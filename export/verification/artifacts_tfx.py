"""Artifact type of verified exports."""

from tfx.types.artifact import Artifact


class Exports(Artifact):
    """One folder per framework with its three artifacts, and `parity.json`."""

    TYPE_NAME = "Exports"
