"""The slice of configuration that says how much of earlier runs stays on disk."""

from pydantic import Field

from components.base.config import Slice


class RunsConfig(Slice):
    """What `gc` takes, and what every run cleans up by at its end. It changes no verdict."""

    keep: int = Field(
        10,
        ge=1,
        description="the newest so many runs stay, and as many of those that did some work",
    )
    artifacts: int = Field(
        3, ge=1, description="of the newest so many of them what the steps made stays, for reuse"
    )
