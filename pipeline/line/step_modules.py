"""What each step's code is: the one table from a step to the modules it depends on.

A step depends on these modules and on all of the project that they import, transitively. Processes
that a step starts, and modules that are found by name, are no imports: they are named here too.
"""

from components.base.fingerprint import fingerprint
from serving.contract.release_files import FORMATS

STEP_MODULES: dict[str, tuple[str, ...]] = {
    "ingest": ("components.data.ingest_tfx",),
    "data_gate": ("components.gates.data_gate_tfx",),
    "transform": ("components.data.transform_tfx",),
    "pack": ("components.data.pack_tfx",),
    "augment": (
        "components.augmentation.augment_tfx",
        "components.augmentation.keras_copies",
        "components.augmentation.torch_copies",
    ),
    "features": ("components.features.features_tfx", "components.features.torch_features"),
    "cross_validate": ("components.features.cross_validate_tfx",),
    "corrupt": (
        "components.evaluation.corruptions_tfx",
        "components.evaluation.torch_corruptions",
    ),
    "train_keras": ("components.training.train_tfx", "components.training.train_keras"),
    "train_torch": ("components.training.train_tfx", "components.training.train_torch"),
    "evaluate_keras": ("components.evaluation.evaluate_tfx", "components.evaluation.keras_predict"),
    "evaluate_torch": ("components.evaluation.evaluate_tfx", "components.evaluation.torch_predict"),
    "gates": ("components.gates.model_gates_tfx",),
    "export": (
        "export.export_tfx",
        "export.__main__",
        "export.export_formats",
        "export.verification.parity",
        "export.verification.latency_worker",
        *dict.fromkeys(f"export.formats.{row.module}" for row in FORMATS.values()),
        "export.formats.torch_tflite",
    ),
    "push": ("export.release.push_tfx",),
}
"""Without TFX's own steps (statistics, schema, validator), which follow its version in the lock."""

_REBUILDS_THE_NETWORK = (
    *("features", "train_keras", "train_torch", "evaluate_keras", "evaluate_torch", "export"),
)


def code(step: str, architecture: str = "") -> str:
    """The fingerprint of a step's code, as JSON, see `fingerprint`; with the files of
    `architecture` where that is the user's own and the step builds the network."""
    own = architecture if step in _REBUILDS_THE_NETWORK else ""
    return fingerprint(*STEP_MODULES[step], architecture=own)
