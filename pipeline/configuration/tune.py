"""The slice of configuration of a search for hyperparameters."""

import difflib
from typing import Literal

from pydantic import Field, field_validator

from components.base.config import Slice
from components.training.config import TrainConfig


class TuneConfig(Slice):
    """A search for hyperparameters: `python -m pipeline tune PRESET`."""

    trials: int = Field(20, ge=1, description="trials in all, those of earlier searches included")
    framework: Literal["keras", "torch"] = "torch"
    prune: bool = Field(True, description="end trials that fall behind the median of the others")
    space: dict[str, tuple[bool | int | float | str, ...] | None] = Field(
        {}, description="fields of train to search, see pipeline/search/search_space.py"
    )

    @field_validator("space")
    @classmethod
    def _fields_of_train(cls, value: dict) -> dict:
        for name in value.keys() - TrainConfig.model_fields.keys():
            (close,) = difflib.get_close_matches(name, TrainConfig.model_fields, n=1, cutoff=0.0)
            raise ValueError(f"train has no field {name!r}: did you mean {close!r}?")
        return value
