"""An ONNX file is walked before a runtime opens it: whatever it holds, in bounded time."""

import random

import onnx
import pytest

from serving.contract import onnx_structure
from serving.contract.onnx_structure import problem
from serving.contract.protobuf_wire import BYTES, FIXED32, FIXED64, VARINT, Malformed, fields
from tests.helpers.hostile_releases import nested
from tests.helpers.serving_fixtures import onnx_bytes


def walked(data: bytes) -> str | None:
    return problem(memoryview(data))


def read(data: bytes) -> list[tuple]:
    return list(fields(memoryview(data), 0, len(data)))


def test_the_fields_of_a_message_are_those_that_protobuf_wrote():
    tensor = onnx.TensorProto(dims=[300, 2**62], data_type=1, double_data=[1.0], raw_data=b"abc")
    data = tensor.SerializeToString()
    found = {(number, kind): data[start:end] for number, kind, _, start, end in read(data)}
    assert found[2, VARINT] == b"\1" and found[9, BYTES] == b"abc"
    values = [value for number, _, value, _, _ in read(data) if number == 1]
    assert values == [300, 2**62]
    assert read(b"\x0d" + bytes(4) + b"\x11" + bytes(8)) == [
        (1, FIXED32, 0, 1, 5), (2, FIXED64, 0, 6, 14),
    ]  # fmt: skip
    assert read(b"") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08", "cut off"),
        (b"\x08\x80", "cut off"),
        (b"\x0a\x05abcd", "cut off"),
        (b"\x0d\0\0\0", "cut off"),
        (b"\x0b", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x0f", "wire type 7"),
        (b"\0\0", "number 0"),
        (b"\x80\x80\x80\x80\x10\0", "number 536870912"),
        (b"\x08" + b"\xff" * 10 + b"\1", "more than ten bytes"),
    ],
)
def test_what_is_no_message_is_said(data, message):
    with pytest.raises(Malformed, match=message):
        read(data)


def test_a_real_model_has_no_problem():
    assert walked(onnx_bytes()) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no graph"),
        (b"\x08\x08", "has no graph"),
        (b"\x38\x01", "has no graph"),  # a number where the graph should be
        (b"\x3a\x05abc", "cut off"),
    ],
)
def test_what_is_no_model_is_said(data, message):
    assert message in walked(data)


def test_graphs_within_graphs_are_walked_to_a_limit_far_above_any_models():
    assert walked(nested(19)) is None
    assert walked(nested(20)) == "it is nested more than 60 deep"
    assert walked(nested(2000)) == "it is nested more than 60 deep"


def test_the_parts_are_counted(monkeypatch):
    monkeypatch.setattr(onnx_structure, "MAX_FIELDS", 1000)
    tensor = b"\x2a" + b"\xd0\x0f" + b"\x08\1" * 1000  # an initializer with 1000 sizes
    assert walked(b"\x3a" + b"\xd3\x0f" + tensor) == "it has more than 1000 parts"


def test_where_a_tensor_lies_is_found_however_it_is_said():
    """Fields may come again and in any order; a later one would hide the earlier from a reader."""
    for tensor in (b"\x70\1", b"\x70\1\x70\0", b"\x6a\0", b"\x10\1\x70\2"):
        graph = b"\x2a" + bytes([len(tensor)]) + tensor
        model = b"\x3a" + bytes([len(graph)]) + graph
        assert "external data" in walked(model)
        assert "external data" in walked(model + b"\x3a\0")
    for tensor in (b"\x70\0", b"\x68\1", b"\x72\0"):  # inside; of another type, and so ignored
        graph = b"\x2a" + bytes([len(tensor)]) + tensor
        assert walked(b"\x3a" + bytes([len(graph)]) + graph) is None


def test_whatever_the_bytes_there_is_an_answer():
    rng, good = random.Random(0), onnx_bytes()
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cut = bytes(data[: rng.randrange(len(data))])
        for found in (walked(bytes(data)), walked(cut), walked(rng.randbytes(50))):
            assert found is None or isinstance(found, str)
