"""Artifact types of the gates."""

from tfx.types.artifact import Artifact


class DataVerdict(Artifact):
    """`verdict.json`: the data gate's checks."""

    TYPE_NAME = "DataVerdict"


class GateVerdict(Artifact):
    """`verdict.json`: every gate with what was expected and received."""

    TYPE_NAME = "GateVerdict"
