"""Artifact type of verified exports."""

from tfx.types.artifact import Artifact


class Exports(Artifact):
    """One folder per framework with its artifacts, `parity.json` and `latency.json`."""

    TYPE_NAME = "darkroom.Exports"
