"""The slice of configuration that says how releases are kept and signed."""

from pathlib import Path

from pydantic import Field, field_validator

from components.base.config import Slice


class ReleaseConfig(Slice):
    """What happens to a model that may be released, and to those before it."""

    keep: int = Field(
        5,
        ge=1,
        description="newest releases that stay; also the current one, the one before, the best "
        "and labelled ones",
    )
    neighbours: bool = Field(
        True,
        description="names and features of the training images go into releases of networks with "
        "a pretrained backbone, so that what is alike can be shown",
    )
    signing_key: Path | None = Field(
        None, description="PEM of the elliptic-curve private key that releases are signed with"
    )

    @field_validator("signing_key")
    @classmethod
    def _at_home(cls, key: Path | None) -> Path | None:
        return key and key.expanduser()
