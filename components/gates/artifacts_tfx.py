"""Artifact types of the gates."""

from tfx.types.artifact import Artifact


class DataVerdict(Artifact):
    """`verdict.json`: the data gate's checks; `accounting.json` and `findings.csv`: ingest's, with
    what the comparison with the current release has added; `data/`: what a release keeps."""

    TYPE_NAME = "darkroom.DataVerdict"


class GateVerdict(Artifact):
    """`verdict.json`: every gate with what was expected and received."""

    TYPE_NAME = "darkroom.GateVerdict"
