"""The slice of configuration that says what is exported, and how far it may be from its source."""

from pydantic import Field, field_validator

from components.base.config import Slice
from serving.contract.release_files import FORMATS, Format

BATCHES = (1, 7, 64)
"""Each artifact is verified at all of these batch sizes: on every held-out image at the last one,
on `export.images` of them at the others (float32; reduced precision on every one at all). Of large
images only some are run at the others, see `parity.ParityArgs.large`."""
_LARGE_BATCHES = (1, 3, 8)
"""Runtimes keep what layers make of all images of a batch: 64 of 224x224 took EfficientNet-Lite0's
3.7 GB."""
LARGE_IMAGES = 16
"""How many large images are run at the small batch sizes."""
_LARGE_CALIBRATION = 32
"""int8 of two EfficientNet-Lite0 answered 924 photographs as before in 99.5 and 99.9% of cases with
so many, and in 99.5 and 99.8% with 64; ONNX Runtime takes 0.3 s for each."""


def is_large(height: int, width: int) -> bool:
    """Whether images of that size are run less often, and fewer at a time."""
    return height * width > 96 * 96


def batch_sizes(height: int, width: int) -> tuple[int, ...]:
    """Those at which artifacts for images of that size are verified."""
    return _LARGE_BATCHES if is_large(height, width) else BATCHES


class ExportConfig(Slice):
    """Which formats are made, and the limits of disagreement between each and the model it came
    from. Shares are of the held-out images."""

    formats: tuple[str, ...] = Field((), description="names of formats; none: every one")
    required: tuple[str, ...] = Field(
        (), description="reduced precisions whose failure refuses the release"
    )
    max_difference: float = Field(
        1e-4, gt=0, description="largest probability difference of a float32 artifact"
    )
    min_agreement: float = Field(0.999, gt=0, le=1, description="share of equal top-1 labels")
    min_agreement_float16: float = Field(0.995, gt=0, le=1)
    min_agreement_int8: float = Field(0.985, gt=0, le=1)
    max_mean_difference_float16: float = Field(
        0.005, gt=0, description="mean over images of their largest probability difference"
    )
    max_mean_difference_int8: float = Field(0.05, gt=0)
    max_accuracy_loss: float = Field(0.001, ge=0, le=1, description="against the source model")
    max_accuracy_loss_float16: float = Field(0.003, ge=0, le=1)
    max_accuracy_loss_int8: float = Field(0.005, ge=0, le=1)
    images: int = Field(
        256,
        ge=1,
        description="held-out images run at small batch sizes too; of large images at most 16",
    )
    calibration_images: int = Field(
        512,
        ge=1,
        description="training images that int8 ranges are measured on; of large ones at most 32",
    )
    max_latency_ms: float | None = Field(
        None, gt=0, description="median of one image, one thread, on this machine's CPU"
    )
    max_slowdown: float | None = Field(
        None, gt=0, description="latency against the same format of the current release"
    )
    max_mb: float | None = Field(None, gt=0, description="size of any one artifact")

    @field_validator("formats", "required")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in FORMATS:
                raise ValueError(f"{name!r} is no format, expected some of {', '.join(FORMATS)}")
        return names

    @field_validator("formats")
    @classmethod
    def _with_onnx(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names and "onnx" not in names:
            raise ValueError(
                "expected onnx among them: the server and the next run's gates open it"
            )
        return names

    def calibration(self, height: int, width: int) -> int:
        """How many training images of that size int8 ranges are measured on."""
        most = _LARGE_CALIBRATION if is_large(height, width) else self.calibration_images
        return min(self.calibration_images, most)

    def agreement_of(self, row: Format) -> float:
        """The least share of equal top-1 labels for a format."""
        return self._by_precision("min_agreement", row)

    def accuracy_loss_of(self, row: Format) -> float:
        """The most that a format may lose of its source's accuracy."""
        return self._by_precision("max_accuracy_loss", row)

    def mean_difference_of(self, row: Format) -> float:
        """The most by which the probabilities of a format of reduced precision may differ."""
        return self._by_precision("max_mean_difference", row)

    def _by_precision(self, name: str, row: Format) -> float:
        ending = {"float32": "", "float16": "_float16"}.get(row.precision, "_int8")
        return getattr(self, name + ending)

    def is_required(self, row: Format) -> bool:
        """Whether its failure refuses the release, rather than leaving it out."""
        return not row.optional or row.name in self.required
