"""ONNX files of reduced precision, made of the float32 one beside them.

float16 halves the file and suits GPUs; on CPUs it is slower. int8 is static (ranges of activations
are measured on training images): quantising them dynamically, while running, was three to five
times slower on these networks.
"""

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.formats import contract as contracts
from export.formats.onnx import save
from export.formats.trained_model import TrainedModel
from serving.contract.release_files import FORMATS

_BATCH = 64
_PIXELS = 256 * 32 * 32
"""At a time, as the values of all layers are kept until they are counted: 256 images of CIFAR-10's
size, four of 224x224, of which EfficientNet-Lite0 makes 0.2 GB."""
_QUANTISED = ("Conv", "Gemm", "MatMul")
"""What takes the time. Quantising the operations between them as well lost more answers than it
saved time: of 10,000 CIFAR-10 images 97.1% were answered as before, and 98.8% like this."""
_PERCENTILE = 99.99
"""Share of the values within the range that 256 levels are spread over: one value far out makes the
levels of all others coarse (98.3 to 98.8% and 98.3 to 99.2% of answers as before, on two nets)."""


def export(model: TrainedModel, path: str | Path, precision: str) -> Path:
    """Writes the model as ONNX with `precision` float16 or int8.

    Raises ValueError where the float32 file is not beside it, or int8 has no training images.
    """
    source = Path(path).with_name(FORMATS["onnx"].file)
    if not source.is_file():
        raise ValueError(f"{source} is missing: it is made first, and the others are made of it.")
    if precision == "float16":
        return to_float16(source, model.contract, path)
    return to_int8(source, model.calibration_images, model.contract, path)


def to_float16(source: Path, contract: dict, path: str | Path) -> Path:
    """Weights and arithmetic in float16; `image` stays uint8, `probabilities` float32.

    By ONNX Runtime's converter: the common one (onnxconverter-common) does not get past the cast
    of the uint8 image.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(source)
    # What casts the uint8 image to float32 must stay what it is. Whole numbers up to 255, which
    # come out of it, are exact in float16.
    casts = [node.name for node in model.graph.node if node.op_type == "Cast"]
    reduced = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=casts))
    reduced.topological_sort()  # the converter adds its own casts at the end
    return save(reduced.model, contract, path)


def to_int8(source: Path, images: np.ndarray, contract: dict, path: str | Path) -> Path:
    """Weights int8 per channel, activations uint8, by QuantizeLinear and DequantizeLinear nodes.

    `images` uint8 (n, H, W, C) give the ranges. The first convolution, which sees the pixels,
    depthwise ones, and the last layer, which gives the logits, stay in float32: they cost little
    time and most accuracy. Weights have 7 bits (`reduce_range`): on processors without VNNI the sum
    of two products of 8 bits overflows, and nobody knows where the file will run.
    """
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = _Batches(images)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        prepared, quantised = Path(scratch, "prepared.onnx"), Path(scratch, "quantised.onnx")
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        with contextlib.redirect_stdout(io.StringIO()):  # it counts its tensors there
            quantize_static(
                str(prepared),
                str(quantised),
                batches,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_QUANTISED),
                nodes_to_exclude=_in_float32(onnx.load(prepared)),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={
                    "CalibPercentile": _PERCENTILE,
                    # Whatever its name, any method's values are counted after so many images.
                    "CalibStridedMinMax": batches.stride,
                },
            )
        return save(onnx.load(quantised), contract, path)


def _in_float32(model: onnx.ModelProto) -> list[str]:
    """Names of the outermost nodes of those to quantise, as far as others remain between them, and
    of depthwise convolutions: few of the products and of the weights are theirs, and most of the
    error was (EfficientNet-Lite0's answers differed by 0.013 on average, by 0.005 like this)."""
    nodes = [node for node in model.graph.node if node.op_type in _QUANTISED]
    outermost = [nodes[0].name, nodes[-1].name] if len(nodes) > 2 else []
    return outermost + [node.name for node in nodes if _is_depthwise(node)]


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return any(a.name == "group" and a.i > 1 for a in node.attribute)


class _Batches:
    """ONNX Runtime's CalibrationDataReader, by its methods: one dictionary of inputs after the
    other, all of one size, then None. `stride` images are read at a time, of which the number of
    all is a multiple."""

    def __init__(self, images: np.ndarray):
        most = max(1, _PIXELS // (images.shape[1] * images.shape[2]))
        at_a_time = 1 << most.bit_length() - 1  # the usual numbers of images are powers of two
        self._batch = min(_BATCH, at_a_time, len(images))
        whole = len(images) // self._batch * self._batch
        # All of them, or as many batches as there may be at a time.
        self.stride = whole if whole <= at_a_time else at_a_time // self._batch * self._batch
        self._images = images[: whole // self.stride * self.stride]
        self.set_range(0, len(self._images))

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._row, self._end = start_index, end_index

    def get_next(self) -> dict[str, Any] | None:
        if self._row >= self._end:
            return None
        some = self._images[self._row : self._row + self._batch]
        self._row += self._batch
        return {contracts.IMAGE: some}
