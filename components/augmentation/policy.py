"""Augmentation policies: typed operations that both frameworks draw anew for every image.

Only the description lives here; `keras_augment.py` and `torch_augment.py` carry it out on batches,
outside the exported graphs.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from components.base.config import Slice


class Operation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Flip(Operation):
    """Mirror left to right with probability one half."""

    kind: Literal["flip"] = "flip"


class Translate(Operation):
    """Shift by up to `fraction` of height and width, uniformly; the border is zero."""

    kind: Literal["translate"] = "translate"
    fraction: float = Field(gt=0, lt=1)


class Rotate(Operation):
    """Turn by up to `fraction` of a full circle either way, uniformly."""

    kind: Literal["rotate"] = "rotate"
    fraction: float = Field(gt=0, le=0.5)


class Zoom(Operation):
    """Scale by a factor between 1 - `fraction` and 1 + `fraction`, uniformly."""

    kind: Literal["zoom"] = "zoom"
    fraction: float = Field(gt=0, lt=1)


class PadCrop(Operation):
    """Pad by `padding` pixels, then crop back to size at a random place.

    The `border` is black, or reflects the image about its outermost pixels (NumPy's `reflect`).
    Edges of black, which no image has that the trained network will see, take a share of what a
    network can learn and shift the moving statistics of batch norm.
    """

    kind: Literal["pad_crop"] = "pad_crop"
    padding: int = Field(gt=0)
    border: Literal["zero", "reflect"] = "zero"


class Brightness(Operation):
    """Multiply by a factor between 1 - `fraction` and 1 + `fraction`, clipped to 0..255."""

    kind: Literal["brightness"] = "brightness"
    fraction: float = Field(gt=0, lt=1)


class Contrast(Operation):
    """Scale the distance to the image's mean by 1 - `fraction` to 1 + `fraction`, clipped."""

    kind: Literal["contrast"] = "contrast"
    fraction: float = Field(gt=0, lt=1)


class Cutout(Operation):
    """Blacken one square at a random place; its side is `fraction` of the shorter side.

    DeVries and Taylor 2017, arXiv:1708.04552: the centre may lie anywhere, so that the square may
    reach over the border.
    """

    kind: Literal["cutout"] = "cutout"
    fraction: float = Field(gt=0, le=1)


GEOMETRY = (Translate, Rotate, Zoom)
"""Operations of which neighbouring ones are carried out together."""

AnyOperation = Annotated[
    Flip | Translate | Rotate | Zoom | PadCrop | Brightness | Contrast | Cutout,
    Field(discriminator="kind"),
]
Policy = tuple[AnyOperation, ...]


class AugmentConfig(Slice):
    """One policy per framework, each a list of operations of components/augmentation/policy.py."""

    keras: Policy = ()
    torch: Policy = ()
    balance: Literal["none", "weights", "oversample", "augmented"] = Field(
        "none",
        description="what evens out classes of different sizes, see components/README.md",
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
