"""The whole configuration of a run, composed of the slices that other packages own.

Standard library and pydantic only.
"""

from pathlib import Path

from pydantic import Field

from components.augmentation.policy import AugmentConfig
from components.base.config import Slice
from components.data.config import ImageConfig
from components.evaluation.config import EvaluateConfig
from components.gates.data_gate import DataGateConfig
from components.gates.model_gates import GatesConfig
from components.networks.config import ModelConfig
from components.sources.config import DataConfig
from components.training.config import TrainConfig
from export.release.config import ReleaseConfig
from export.verification.config import ExportConfig
from pipeline.configuration.beam import BeamConfig
from pipeline.configuration.notify import NotifyConfig
from pipeline.configuration.runs import RunsConfig
from pipeline.configuration.tracking import TrackingConfig
from pipeline.configuration.tune import TuneConfig

CHECKPOINTS = "checkpoints"


class RunConfig(Slice):
    """Everything one run depends on."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100, description="name of the release"
    )
    root: str = Field("out", min_length=1)
    data: DataConfig
    data_gate: DataGateConfig = DataGateConfig()
    image: ImageConfig
    model: ModelConfig
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    gates: GatesConfig
    export: ExportConfig = ExportConfig()
    release: ReleaseConfig = ReleaseConfig()
    beam: BeamConfig = BeamConfig()
    tune: TuneConfig = TuneConfig()
    notify: NotifyConfig = NotifyConfig()
    tracking: TrackingConfig = TrackingConfig()
    runs: RunsConfig = RunsConfig()


BESIDE = {"tune", "notify", "tracking", "runs"}
"""Sections that no model or release depends on: what searches do, who is told, what is kept."""


def root_path(config: RunConfig) -> Path:
    return Path(config.root).expanduser().resolve()


def pipeline_name(name: str) -> str:
    """TFX's pipeline of the runs that release under `name`."""
    return f"darkroom-{name}"


def checkpoints_path(config: RunConfig) -> Path:
    """Where interrupted trainings of this name go on from, a folder for each framework."""
    return root_path(config) / CHECKPOINTS / config.name
