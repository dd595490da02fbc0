"""What slices of configuration are made of. Standard library and pydantic only.

Each step of the line receives just its own slice, as JSON, so that changing one field reruns only
the steps that the field belongs to.
"""

import json

from pydantic import BaseModel, ConfigDict


class Slice(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )


def json_slice(part: BaseModel, exclude: set[str] | None = None) -> str:
    """A slice as canonical JSON, the form in which a step receives it, without the fields that
    it has no use for."""
    return json.dumps(part.model_dump(mode="json", exclude=exclude), sort_keys=True)
