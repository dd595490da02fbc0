"""The vocabulary of network descriptions: one typed class per kind of layer.

`keras_model.py` and `torch_model.py` each translate it; `description.py` puts layers together.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

Function = Literal[
    "relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softmax",
    "log_softmax",
]  # fmt: skip

FINAL: tuple[Function, ...] = ("softmax", "log_softmax", "sigmoid")
"""Those that make probabilities, or their logarithms, of logits."""


class Layer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    if TYPE_CHECKING:  # a field below only: for pools it comes after the fields of Pool

        @property
        def kind(self) -> str: ...

    def label(self) -> str:
        """The part of the layer's name that says what it is."""
        return self.kind


class Convolution(Layer):
    """2-D convolution with a square kernel.

    Padding is with zeros: `valid` has none, `same` gives ceil(n / stride) rows and columns as
    TensorFlow defines it (an odd row or column of zeros goes below or to the right), `full` has
    kernel - 1 on every side.
    """

    if TYPE_CHECKING:  # fields below: they come after `kind`, and after the filters where there are

        @property
        def kernel(self) -> int: ...

        @property
        def stride(self) -> int: ...

        @property
        def padding(self) -> str: ...

        @property
        def bias(self) -> bool: ...

    def edges(self, size: int) -> tuple[int, int]:
        """Zeros before and after an axis of `size` pixels."""
        match self.padding:
            case "valid":
                return 0, 0
            case "full":
                return self.kernel - 1, self.kernel - 1
        whole = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
        return whole // 2, whole - whole // 2

    def size(self, size: int) -> int:
        """Pixels along an axis afterwards."""
        return (size + sum(self.edges(size)) - self.kernel) // self.stride + 1


class Conv(Convolution):
    kind: Literal["conv"] = "conv"
    filters: int = Field(gt=0)
    kernel: int = Field(3, gt=0)
    stride: int = Field(1, gt=0)
    padding: Literal["same", "valid", "full"] = "same"
    bias: bool = True


class DepthwiseConv(Convolution):
    """Each channel is convolved by itself, with one kernel of its own: as many come out as go
    in."""

    kind: Literal["depthwise_conv"] = "depthwise_conv"
    kernel: int = Field(3, gt=0)
    stride: int = Field(1, gt=0)
    padding: Literal["same", "valid"] = "same"
    bias: bool = True


class BatchNorm(Layer):
    """Batch normalisation over N, H, W. `momentum` is the share of the old moving statistics kept
    at each step (Keras's convention; PyTorch's momentum is one minus this)."""

    kind: Literal["batch_norm"] = "batch_norm"
    epsilon: float = Field(1e-3, gt=0)
    momentum: float = Field(0.9, gt=0, lt=1)


class Activation(Layer):
    """An elementwise function, or a softmax over the channels. GELU is the exact one, ELU's alpha
    is 1, ReLU6 is min(max(x, 0), 6)."""

    kind: Literal["activation"] = "activation"
    function: Function = "relu"
    negative_slope: float = Field(0.01, ge=0, description="leaky_relu's, PyTorch's default")

    def label(self) -> str:
        return self.function


class Pool(Layer):
    """Pooling of squares without padding: a remainder at the border is dropped. `size` is the
    name that descriptions of earlier releases have for `kernel`."""

    kernel: int = Field(2, gt=1, validation_alias=AliasChoices("kernel", "size"))
    stride: int | None = Field(None, gt=0, description="null: the kernel's size; less overlaps")

    @property
    def step(self) -> int:
        return self.stride or self.kernel

    def size(self, size: int) -> int:
        """Pixels along an axis afterwards."""
        return (size - self.kernel) // self.step + 1


class MaxPool(Pool):
    kind: Literal["max_pool"] = "max_pool"


class AveragePool(Pool):
    kind: Literal["average_pool"] = "average_pool"


class GlobalAveragePool(Layer):
    """Mean over height and width: (N, H, W, C) to (N, C)."""

    kind: Literal["global_average_pool"] = "global_average_pool"


class Flatten(Layer):
    """(N, H, W, C) to (N, H*W*C) in that order (PyTorch's networks permute first)."""

    kind: Literal["flatten"] = "flatten"


class Dense(Layer):
    kind: Literal["dense"] = "dense"
    units: int = Field(gt=0)


class Dropout(Layer):
    kind: Literal["dropout"] = "dropout"
    rate: float = Field(ge=0, lt=1)


class ChannelDropout(Layer):
    """Dropout of whole channels of an image (SpatialDropout2D, nn.Dropout2d)."""

    kind: Literal["channel_dropout"] = "channel_dropout"
    rate: float = Field(ge=0, lt=1)


class Residual(Layer):
    """What `layers` make of the input, plus the input itself.

    Where the shapes differ, the input goes through a 1x1 convolution whose stride is the product
    of those inside (a dense layer where it is flat).
    """

    kind: Literal["residual"] = "residual"
    layers: tuple["AnyLayer", ...] = Field(min_length=1)

    def strides(self) -> int:
        product = 1
        for layer in self.layers:
            match layer:
                case Convolution() | InvertedResidual():
                    product *= layer.stride
                case Pool():
                    product *= layer.step
                case Residual():
                    product *= layer.strides()
        return product


class InvertedResidual(Layer):
    """MobileNetV2's block (Sandler et al., https://arxiv.org/abs/1801.04381): a 1x1 convolution to
    `expansion` times the channels, a depthwise one, both with batch norm and ReLU6, and a 1x1
    convolution to `filters` with batch norm.

    Its input is added where nothing in it has another shape: with stride 1 and as many channels as
    `filters`. An expansion of 1 has no first convolution. `epsilon` and `momentum` are those of its
    batch norms.
    """

    kind: Literal["inverted_residual"] = "inverted_residual"
    filters: int = Field(gt=0)
    expansion: int = Field(6, gt=0)
    kernel: int = Field(3, gt=0)
    stride: int = Field(1, gt=0)
    epsilon: float = Field(1e-3, gt=0)
    momentum: float = Field(0.9, gt=0, lt=1)

    def layers(self, channels: int) -> "tuple[AnyLayer, ...]":
        """Those inside, for an input of so many channels."""
        norm = BatchNorm(epsilon=self.epsilon, momentum=self.momentum)
        relu6 = Activation(function="relu6")
        wider = Conv(filters=channels * self.expansion, kernel=1, bias=False)
        depthwise = DepthwiseConv(kernel=self.kernel, stride=self.stride, bias=False)
        project = Conv(filters=self.filters, kernel=1, bias=False)
        expand = () if self.expansion == 1 else (wider, norm, relu6)
        return (*expand, depthwise, norm, relu6, project, norm)

    def adds_input(self, channels: int) -> bool:
        """Whether an input of so many channels is added to what the layers make of it."""
        return self.stride == 1 and self.filters == channels


def _current(value: Any) -> Any:
    """A layer as earlier releases wrote it, in today's words: `relu` was a kind of its own."""
    if isinstance(value, dict) and value.get("kind") == "relu":
        return {**value, "kind": "activation", "function": "relu"}
    return value


AnyLayer = Annotated[
    Annotated[
        Conv
        | DepthwiseConv
        | BatchNorm
        | Activation
        | MaxPool
        | AveragePool
        | GlobalAveragePool
        | Flatten
        | Dense
        | Dropout
        | ChannelDropout
        | Residual
        | InvertedResidual,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_current),
]
Residual.model_rebuild()
