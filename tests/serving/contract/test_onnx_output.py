"""A value from inside of an ONNX model becomes one of its outputs, and nothing else changes."""

import numpy as np
import onnx
import pytest

from serving.contract.onnx_output import with_output
from serving.contract.onnx_structure import problem
from serving.inference.errors import NotServable
from serving.inference.onnx_runtime import open_session
from tests.helpers.serving_fixtures import digits, expected, onnx_bytes


def test_the_library_for_onnx_reads_the_same_model_with_one_more_output():
    whole, more = onnx.load_from_string(onnx_bytes()), with_output(onnx_bytes(), "flat")
    read = onnx.load_from_string(more)
    added = read.graph.output.pop()
    assert added.name == "flat" and added.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert read == whole and problem(memoryview(more)) is None


def test_the_runtime_gives_the_value_beside_the_same_answers():
    images = digits()[0][:5]
    session = open_session("model", content=with_output(onnx_bytes(), "flat"))
    found, answers = session.run(["flat", "probabilities"], {"image": images})
    assert np.array_equal(found, images.reshape(5, 64).astype(np.float32))
    assert np.abs(answers - expected(images)).max() < 1e-5


def test_a_name_may_be_as_long_as_exporters_make_them():
    model = onnx.load_from_string(onnx_bytes())
    name = "efficientnet/ünicode/" + 50 * "long/"
    for node in model.graph.node:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                values[place] = name if value == "flat" else value
    session = open_session("model", content=with_output(model.SerializeToString(), name))
    assert session.get_outputs()[1].name == name


@pytest.mark.parametrize("name", ["absent", "", "weights\0"])
def test_a_value_that_is_not_there_is_refused_by_the_runtime(name):
    with pytest.raises(NotServable, match="cannot load a model"):
        open_session("a model", content=with_output(onnx_bytes(), name))
