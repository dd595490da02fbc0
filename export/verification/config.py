"""The slice of configuration that limits how far an artifact may be from its source."""

from pydantic import Field

from components.base.config import Slice
from serving.contract.release_files import FORMATS

# Each artifact is verified at both of these batch sizes.
BATCHES = (1, 32)


class ExportConfig(Slice):
    """Limits of disagreement between an artifact and the model it came from."""

    max_difference: float = Field(1e-4, gt=0, description="largest probability difference")
    min_agreement: float = Field(1.0, gt=0, le=1, description="share of equal top-1 labels")
    images: int = Field(256, ge=1, description="held-out images compared, at batch 1 and 32")


def batches_of(name: str) -> tuple[int, ...]:
    """The batch sizes at which an artifact of the format `name` is verified."""
    return BATCHES[:1] if FORMATS[name].batch_fixed else BATCHES
