"""Networks of depthwise convolutions, ReLU6 and inverted residuals in every format: each agrees
with its source within the limits that a release has."""

import numpy as np
import pytest

from components.networks.description import Architecture
from components.networks.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    InvertedResidual,
)
from components.networks.network import Network
from export.formats.reduced_onnx import _Batches
from export.verification import parity, verify
from export.verification.config import ExportConfig
from serving.contract.image_spec import ImageSpec
from tests.helpers import small_nets

_RELU6 = Activation(function="relu6")
_LAYERS = (
    Conv(filters=13, stride=2, bias=False), BatchNorm(), _RELU6,
    InvertedResidual(filters=13, expansion=1),
    InvertedResidual(filters=14, expansion=3, kernel=5, stride=2),
    InvertedResidual(filters=14, expansion=3),
    DepthwiseConv(padding="valid", bias=False), BatchNorm(), _RELU6,
    Conv(filters=32, kernel=1), BatchNorm(), _RELU6,
    Flatten(), Dropout(rate=0.2), Dense(units=4),
)  # fmt: skip
FORMATS = ("onnx", "onnx_float16", "onnx_int8", "tflite", "tflite_float16",
           "tflite_dynamic_int8", "tflite_int8")  # fmt: skip


# PyTorch's exporter takes long, and is given Conv2d and Hardtanh alone.
@pytest.fixture(scope="module", params=["keras", pytest.param("torch", marks=pytest.mark.full)])
def exported(request, tmp_path_factory):
    spec = ImageSpec(21, 18, 3, (127 / 255,) * 3, (128 / 255,) * 3)
    described = Network(
        request.param, Architecture(name="inverted", layers=_LAYERS), spec, tuple("abcd")
    )
    made = small_nets.make(tmp_path_factory.mktemp(request.param), described, seed=3)
    assert set(small_nets.export(made, FORMATS)) == set(FORMATS)
    return made


def test_every_format_agrees_with_its_source_within_a_releases_limits(exported):
    own = np.load(exported.predictions / "test.npz")
    assert (own["probabilities"].argmax(1) == own["labels"]).mean() > 0.9
    for artifact in FORMATS:
        args = small_nets.parity_args(exported, artifact)
        framework = exported.network.framework
        for record in parity.measure(args):
            verdict = verify.judge({"framework": framework} | record, ExportConfig())
            assert verdict["passed"], verdict


@pytest.mark.parametrize(
    "count, side, stride",
    [(512, 32, 256), (60, 10, 60), (512, 64, 64), (32, 224, 4), (7, 224, 4), (9, 1000, 1)],
)
def test_few_large_images_at_a_time_are_measured_and_all_small_ones(count, side, stride):
    images = np.arange(count * side * side, dtype=np.uint8).reshape(count, side, side, 1)
    batches, read = _Batches(images), []
    assert batches.stride == stride and len(batches) % stride == 0
    for start in range(0, len(batches), stride):
        batches.set_range(start, start + stride)
        while some := batches.get_next():
            read.append(some["image"])
    assert len({len(some) for some in read}) == 1
    assert len(batches) > count - stride
    np.testing.assert_array_equal(np.concatenate(read), images[: len(batches)])
