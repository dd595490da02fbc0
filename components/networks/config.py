"""The slice of configuration that names the network."""

from pydantic import Field

from components.base.config import Slice


class ModelConfig(Slice):
    architecture: str = Field(
        min_length=1,
        description="a name in networks/architectures.py, or module:function of your own",
    )
