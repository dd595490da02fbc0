"""Artifact types of the line beside TFX's standard ones."""

from tfx.types.artifact import Artifact


class IngestReport(Artifact):
    """`accounting.json`: images read, good and quarantined; `labels.json`: class names."""

    TYPE_NAME = "IngestReport"


class DataVerdict(Artifact):
    """`verdict.json`: the data gate's checks."""

    TYPE_NAME = "DataVerdict"


class ImageArrays(Artifact):
    """Memory-mapped uint8 arrays, see components/arrays.py."""

    TYPE_NAME = "ImageArrays"


class AugmentPlan(Artifact):
    """`policy.json`, `index.npy` and `preview.png`, see components/augment.py."""

    TYPE_NAME = "AugmentPlan"


class Predictions(Artifact):
    """`test.npz` and `val.npz`: the source framework's own probabilities on those splits."""

    TYPE_NAME = "Predictions"


class GateVerdict(Artifact):
    """`verdict.json`: every gate with what was expected and received."""

    TYPE_NAME = "GateVerdict"


class Exports(Artifact):
    """One folder per framework with its three artifacts, and `parity.json`."""

    TYPE_NAME = "Exports"
