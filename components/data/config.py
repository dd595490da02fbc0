"""The slice of configuration that says what images are packed as."""

from pydantic import Field, field_validator

from components.base.config import Slice
from serving.contract.image_spec import Fit


class ImageConfig(Slice):
    """Size of the arrays that the networks are fed, and what is packed beyond it."""

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    margin_height: int = Field(0, ge=0, description="rows packed beyond height: training crops")
    margin_width: int = Field(0, ge=0, description="columns packed beyond width")
    channels: int = Field(description="1 grey, 3 RGB")
    fit: Fit = Field(
        "crop",
        description="other aspect ratios: crop centrally, stretch, or pad with black",
    )

    @field_validator("channels")
    @classmethod
    def _grey_or_rgb(cls, value: int) -> int:
        if value not in (1, 3):
            raise ValueError("expected 1 (grey) or 3 (RGB)")
        return value
