"""The slice of configuration that names the network."""

from pydantic import Field

from components.base.config import Slice


class ModelConfig(Slice):
    architecture: str = Field(
        min_length=1,
        description="a name in components/networks/architectures.py, or your own module:function",
    )
