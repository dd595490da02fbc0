"""The slice of configuration that is handed to Beam."""

from typing import Any

from pydantic import Field, field_validator

from components.base.config import Slice


class BeamConfig(Slice):
    args: tuple[str, ...] = Field((), description="options passed to Beam, e.g. --runner=...")

    @field_validator("args", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.split()) if isinstance(value, str) else value
