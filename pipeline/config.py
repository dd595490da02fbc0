"""Typed, frozen configuration of a run. Standard library and pydantic only.

Each step of the line receives just its own slice, as JSON, so that changing one field reruns only
the steps that field belongs to.
"""

import difflib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from components.policy import Policy


class ConfigError(ValueError):
    """The user's configuration or surroundings are wrong; the run ends with exit code 2."""


class Slice(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )


class DataConfig(Slice):
    """Where images come from and how they are split."""

    source: str = Field(description="digits, tfds:NAME, folder:PATH, tar:PATH or zip:PATH")
    dir: str | None = Field(None, description="TFDS data directory (default: TFDS's own)")
    label: str = Field(
        "label", min_length=1, description="TFDS feature with the class, e.g. attributes/Smiling"
    )
    val_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of train held out by hash")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="share, where there is no test")
    max_file_mib: float = Field(20, gt=0, description="larger files are quarantined")
    # Pillow itself refuses larger ones.
    max_megapixels: float = Field(50, gt=0, le=178, description="larger images are quarantined")
    # The attribute is not called like the key because pydantic has a method of that name.
    schema_path: str | None = Field(
        None, alias="schema", description="TFDV schema (text protobuf) that the data gate enforces"
    )
    accept_classes: bool = Field(
        False, description="release other classes than the current release has"
    )
    limit: int | None = Field(
        None, ge=1, description="train on that many images, drawn once; val and test stay whole"
    )


class DataGateConfig(Slice):
    """What the ingested images must be like before anything is trained on them."""

    max_quarantined: float = Field(0.01, ge=0, le=1, description="share of unreadable files")
    min_per_class: int = Field(1, ge=1, description="images of each class in each split")
    max_label_drift: float = Field(
        0.2, ge=0, le=1, description="change of a class's share of a split since the release"
    )
    max_drift: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Jensen-Shannon divergence of brightness, contrast and size since the release",
    )


class ImageConfig(Slice):
    """Size of the arrays that the networks are fed, and what is packed beyond it."""

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    margin_height: int = Field(0, ge=0, description="rows packed beyond height: training crops")
    margin_width: int = Field(0, ge=0, description="columns packed beyond width")
    channels: int = Field(description="1 grey, 3 RGB")

    @field_validator("channels")
    @classmethod
    def _grey_or_rgb(cls, value: int) -> int:
        if value not in (1, 3):
            raise ValueError("expected 1 (grey) or 3 (RGB)")
        return value


class ModelConfig(Slice):
    architecture: str = Field(
        min_length=1,
        description="a name in components/architectures.py, or module:function of your own",
    )


class AugmentConfig(Slice):
    """One policy per framework, each a list of operations of components/policy.py."""

    keras: Policy = ()
    torch: Policy = ()
    balance: Literal["none", "weights", "oversample", "augmented"] = Field(
        "none", description="what evens out classes of different sizes, see components/augment.py"
    )

    @field_validator("balance")
    @classmethod
    def _copies_need_a_policy(cls, value: str, info: ValidationInfo) -> str:
        empty = [name for name in ("keras", "torch") if info.data.get(name) == ()]
        if value == "augmented" and empty:
            raise ValueError(
                f"the copies are made by the policy augment.{empty[0]}, which is empty: "
                "expected an operation in it, or balance oversample"
            )
        return value


class TrainConfig(Slice):
    """Recipe of both trainers: the same names mean the same in both frameworks.

    `components/schedule.py` gives the formulas of the schedules, `components/torch_losses.py` and
    its twin those of losses and penalties.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(64, ge=1, description="images per step, over all devices together")
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = Field(
        "adam", description="sgd and muon are with Nesterov momentum"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and muon")
    learning_rate: float = Field(1e-3, gt=0, description="the highest of the schedule")
    schedule: Literal["constant", "plateau", "cosine", "one_cycle"] = "cosine"
    warmup: float = Field(0.2, ge=0, lt=1, description="one_cycle: share of the steps that rise")
    plateau: int = Field(5, ge=1, description="plateau: epochs before the rate is halved")
    min_learning_rate: float = Field(1e-6, ge=0, description="where the schedule ends")
    early_stopping: int = Field(
        0, ge=0, description="epochs without a better val_loss that end training, 0: none do"
    )
    loss: Literal["cross_entropy", "nll", "binary_cross_entropy"] = Field(
        "cross_entropy", description="must fit the network's output"
    )
    label_smoothing: float = Field(0, ge=0, lt=1)
    l1: float = Field(0, ge=0, description="times the sum of kernels' magnitudes, in the loss")
    l2: float = Field(0, ge=0, description="times the sum of kernels' squares, in the loss")
    weight_decay: float = Field(
        0, ge=0, description="decoupled, of kernels: each step keeps 1 - rate x weight_decay"
    )
    averaging: float = Field(
        0, ge=0, lt=1, description="share of the average of weights kept at each step, 0: none"
    )
    progressive_resizing: float = Field(
        1, ge=0.25, le=1, description="share of the images' sides at first, 1: whole throughout"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the hardware has units for it"
    )
    checkpoint_seconds: float = Field(30, ge=0, description="between checkpoints")
    seed: int = Field(0, ge=0)
    threads: int = Field(0, ge=0, description="CPU threads, 0 for all cores")
    devices: int = Field(1, ge=1, description="GPUs, or parts of the CPU, that share each batch")

    @field_validator("min_learning_rate")
    @classmethod
    def _schedules_fall(cls, value: float, info: ValidationInfo) -> float:
        highest = info.data.get("learning_rate", value)
        if value > highest:
            raise ValueError(
                f"min_learning_rate {value:g} is above learning_rate {highest:g}, from which "
                "schedules fall: expected at most that"
            )
        return value

    @field_validator("weight_decay")
    @classmethod
    def _decay_is_not_adams(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("optimizer") == "adam":
            raise ValueError("adam has no decoupled weight decay: expected 0, or optimizer adamw")
        return value

    @field_validator("progressive_resizing")
    @classmethod
    def _val_loss_is_of_whole_images(cls, value: float, info: ValidationInfo) -> float:
        waits = info.data.get("early_stopping") or info.data.get("schedule") == "plateau"
        if value < 1 and waits:
            raise ValueError(
                "val_loss is that of whole images and stands still while training sees small ones, "
                "which early_stopping and schedule plateau would take for the end: expected 1, or "
                "neither of them"
            )
        return value

    @field_validator("devices")
    @classmethod
    def _devices_share_batches(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("batch_size", value):
            raise ValueError("expected at most batch_size")
        return value


class GatesConfig(Slice):
    """What a model must reach. Accuracies are shares of the test split."""

    min_accuracy: float = Field(ge=0, le=1)
    max_regression: float = Field(
        0.01, ge=0, le=1, description="accuracy it may lose against the current release"
    )


class ExportConfig(Slice):
    """Limits of disagreement between an artifact and the model it came from."""

    max_difference: float = Field(1e-4, gt=0, description="largest probability difference")
    min_agreement: float = Field(1.0, gt=0, le=1, description="share of equal top-1 labels")
    images: int = Field(256, ge=1, description="held-out images compared, at batch 1 and 32")


class BeamConfig(Slice):
    args: tuple[str, ...] = Field((), description="options passed to Beam, e.g. --runner=...")

    @field_validator("args", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.split()) if isinstance(value, str) else value


class TuneConfig(Slice):
    """A search for hyperparameters: `python -m pipeline tune PRESET`."""

    trials: int = Field(20, ge=1, description="trials in all, those of earlier searches included")
    framework: Literal["keras", "torch"] = "torch"
    prune: bool = Field(True, description="end trials that fall behind the median of the others")
    space: dict[str, tuple[bool | int | float | str, ...] | None] = Field(
        {}, description="fields of train to search, see pipeline/search_space.py"
    )

    @field_validator("space")
    @classmethod
    def _fields_of_train(cls, value: dict) -> dict:
        for name in value.keys() - TrainConfig.model_fields.keys():
            (close,) = difflib.get_close_matches(name, TrainConfig.model_fields, n=1, cutoff=0.0)
            raise ValueError(f"train has no field {name!r}: did you mean {close!r}?")
        return value


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
    gates: GatesConfig
    export: ExportConfig = ExportConfig()
    beam: BeamConfig = BeamConfig()
    tune: TuneConfig = TuneConfig()


def json_slice(part: BaseModel, exclude: set[str] | None = None) -> str:
    """A slice as canonical JSON, the form in which a step receives it, without the fields that
    it has no use for."""
    return json.dumps(part.model_dump(mode="json", exclude=exclude), sort_keys=True)


def root_path(config: RunConfig) -> Path:
    return Path(config.root).expanduser().resolve()


def checkpoints_path(config: RunConfig) -> Path:
    """Where interrupted trainings of this name go on from, a folder for each framework."""
    return root_path(config) / "checkpoints" / config.name
