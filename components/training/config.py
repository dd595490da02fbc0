"""The slice of configuration that is the trainers' recipe."""

import difflib
from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from components.base.config import Slice

Frameworks = Literal["both", "keras", "torch"]


class TrainConfig(Slice):
    """Recipe of both trainers: the same names mean the same in both frameworks.

    `schedule.py` gives the formulas of the schedules, `torch_losses.py` and its twin those of
    losses and penalties.
    """

    frameworks: Frameworks = Field(
        "both", description="which to train, of those that the network has"
    )
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
    finetune_epochs: int = Field(
        0, ge=0, description="with a pretrained backbone: epochs on images after those of the head"
    )
    finetune_layers: int = Field(
        9, ge=1, description="how many of the backbone's last layers and blocks these train"
    )
    finetune_learning_rate: float = Field(1e-4, gt=0, description="the highest of their schedule")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the hardware has units for it"
    )
    checkpoint_seconds: float = Field(30, ge=0, description="between checkpoints")
    seed: int = Field(0, ge=0)
    threads: int = Field(0, ge=0, description="CPU threads, 0 for all cores")
    devices: int = Field(1, ge=1, description="GPUs, or parts of the CPU, that share each batch")

    @field_validator("frameworks", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        names = get_args(Frameworks)
        if value not in names:
            (close,) = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.0)
            raise ValueError(
                f"expected {', '.join(names[:-1])} or {names[-1]}: did you mean {close!r}?"
            )
        return value

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
