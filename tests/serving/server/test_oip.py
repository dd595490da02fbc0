"""Bodies of the Open Inference Protocol: right ones are answered, all others are explained."""

import base64
import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.inference.errors import InvalidRequest, ServingError, TooLarge
from serving.inference.model import Model
from serving.server import descriptions, oip, oip_answers
from serving.store.release import Release
from tests.helpers.serving_fixtures import digits, digits_release, expected


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(Release("digits", 3, digits_release(tmp_path_factory.mktemp("release") / "3")))


def body(images, data=None, **changes) -> dict:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(np.shape(images))}
    tensor["data"] = np.ravel(images).tolist() if data is None else data
    return {"inputs": [tensor | changes]}


def answered(model, content: bytes, header: str | None = None) -> tuple[bytes, int | None]:
    inference = oip.parse(model, content, header)
    return oip_answers.answer(model, inference, model.run(inference.images))


def ask(model, request) -> dict:
    content, header = answered(model, json.dumps(request).encode())
    assert header is None
    return json.loads(content)


def refused(model, request, header: str | None = None) -> str:
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    with pytest.raises(InvalidRequest) as caught:
        oip.parse(model, content, header)
    return str(caught.value)


def binary(images, text: dict | None = None, tail: bytes | None = None, **parameters):
    """(body, header) of a request whose pixels follow the JSON."""
    tail = np.asarray(images).tobytes() if tail is None else tail
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(np.shape(images))}
    tensor["parameters"] = {"binary_data_size": len(tail)} | parameters
    content = json.dumps({"inputs": [tensor]} | (text or {})).encode()
    return content + tail, str(len(content))


@pytest.mark.parametrize("count", [1, 2, 64])
def test_flat_and_nested_data_give_the_models_probabilities(model, count):
    images = digits()[0][:count]
    flat, nested = ask(model, body(images)), ask(model, body(images, images.tolist()))
    assert flat == nested
    assert flat["model_name"] == "digits" and flat["model_version"] == "3"
    (output,) = flat["outputs"]
    assert (output["name"], output["datatype"]) == ("probabilities", "FP32")
    assert output["shape"] == [count, 10]
    received = np.reshape(output["data"], output["shape"])
    np.testing.assert_allclose(received, expected(images), atol=1e-5)


def test_the_id_is_echoed_and_absent_when_absent(model):
    image = digits()[0][:1]
    assert ask(model, body(image) | {"id": "request \u2603"})["id"] == "request \u2603"
    assert "id" not in ask(model, body(image))
    assert "expected a string" in refused(model, body(image) | {"id": 7})


def test_outputs_may_be_named_and_must_exist(model):
    request = body(digits()[0][:1])
    wanted = ask(model, request | {"outputs": [{"name": "probabilities"}]})
    assert wanted == ask(model, request | {"outputs": []}) == ask(model, request)
    assert "['logits']" in refused(model, request | {"outputs": [{"name": "logits"}]})
    assert "list of objects" in refused(model, request | {"outputs": "probabilities"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "picture"}, "names ['picture'], expected ['image'], or ['image_bytes']"),
        ({"datatype": "FP32"}, "datatype 'FP32', expected 'UINT8'"),
        ({"shape": [1, 8, 8]}, "shape [1, 8, 8], expected [-1, 8, 8, 1]"),
        ({"shape": [0, 8, 8, 1]}, "at least one image"),
        ({"shape": [-1, 8, 8, 1]}, "at least one image"),
        ({"shape": "1,8,8,1"}, "list of whole numbers"),
        ({"shape": [True, 8, 8, 1]}, "list of whole numbers"),
        ({"shape": [1.0, 8, 8, 1]}, "list of whole numbers"),
        ({"shape": [2, 8, 8, 1]}, "has 64 values, its shape [2, 8, 8, 1] needs 128"),
        ({"data": []}, "has 0 values"),
        ({"data": "AAAA"}, "has data that is a string, expected a list"),
        ({"data": None}, "needs either data, a list, or the parameter binary_data_size"),
        ({"parameters": {"binary_data_size": 64}}, "needs either data"),
        ({"data": None, "parameters": {"binary_data_size": 64}}, "no Inference-Header-Content"),
        ({"parameters": 5}, "parameters of image are a number"),
        ({"data": [256] * 64}, "holds 256, expected whole numbers from 0 to 255"),
        ({"data": [0] * 63 + [-1]}, "holds -1"),
        ({"data": [10**400] * 64}, "number is infinity"),
        ({"data": [10**18] * 64}, "holds 1000"),
        ({"data": [0] * 63 + [0.5]}, "holds float"),
        ({"data": [0] * 63 + [True]}, "holds bool"),
        ({"data": [0] * 63 + ["0"]}, "holds str"),
        ({"data": [0] * 63 + [None]}, "holds NoneType"),
        ({"data": [0] * 63 + [[0]]}, "holds list"),
        ({"data": [[0] * 64]}, "nested unlike its shape"),
        ({"data": [[[[0]] * 8] * 7 + [[[0]] * 7]]}, "nested unlike its shape"),
        ({"data": [[[[0]] * 8] * 8, 5]}, "nested unlike its shape"),
        ({"data": [[[[0]] * 8] * 8] * 2}, "nested unlike its shape"),
    ],
)
def test_a_tensor_that_is_not_the_input_is_explained(model, changes, message):
    (tensor,) = body(digits()[0][:1])["inputs"]
    assert message in refused(model, {"inputs": [tensor | changes]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"null", "the body is null, expected an object"),
        (b"[]", "the body is a list"),
        (b"{}", "inputs is missing"),
        (b'{"inputs": []}', "inputs is missing"),
        (b'{"inputs": {"name": "image"}}', "not a list of objects"),
        (b'{"inputs": [{"name": "image"}, {"name": "image"}]}', "expected ['image']"),
        (b'{"inputs": ' + b"[" * 100_000, "nested more than 64 deep"),
        (b'{"inputs": ' + b"[" * 64 + b"]" * 64 + b"}", "nested more than 64 deep"),
        (b'{"inputs": ' + b"[" * 63 + b"]" * 63 + b"}", "not a list of objects"),
    ],
)
def test_a_body_that_is_not_a_request_is_explained(model, content, message):
    assert message in refused(model, content)


def test_too_many_images_are_refused_before_their_data_is_read(model):
    with pytest.raises(TooLarge, match="65 images") as caught:
        ask(model, body(digits()[0][:1], shape=[65, 8, 8, 1]))
    assert caught.value.status == 413


@pytest.mark.parametrize("count", [1, 5, 64])
def test_binary_pixels_and_probabilities_follow_the_json(model, count):
    images = digits()[0][:count]
    wish = {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    content, header = answered(model, *binary(images, wish))
    (output,) = json.loads(content[:header])["outputs"]
    assert output["parameters"] == {"binary_data_size": 4 * 10 * count} and "data" not in output
    received = np.frombuffer(content[header:], "<f4").reshape(output["shape"])
    np.testing.assert_array_equal(received, model.run(images))


@pytest.mark.parametrize(
    ("text", "follows"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"parameters": None, "id": None}, False),
        # What is said of the output itself counts, as in Triton.
        (
            {"parameters": {"binary_data_output": True}, "outputs": [{"name": "probabilities"}]},
            False,
        ),
    ],
)
def test_the_output_is_json_unless_asked_for_otherwise(model, text, follows):
    _, header = answered(model, *binary(digits()[0][:2], text))
    assert (header is not None) == follows


def test_a_raw_request_is_one_images_pixels_and_answered_in_binary(model):
    image = digits()[0][7:8]
    content, header = answered(model, image.tobytes(), "0")
    assert json.loads(content[:header])["outputs"][0]["shape"] == [1, 10]
    np.testing.assert_array_equal(np.frombuffer(content[header:], "<f4"), model.run(image)[0])
    assert oip.parse(model, b"an encoded image", "0").files == [b"an encoded image"]
    assert "the body is empty, expected 64 bytes" in refused(model, b"", "0")


@pytest.mark.parametrize(
    ("content", "header", "message"),
    [
        (b"{}", "3", "expected a number up to the body's 2 bytes"),
        (b"{}", "-1", "expected a number"),
        (b"{}", "two", "expected a number"),
        (b"{}", "\u00b2", "expected a number"),
        (b"{}", "9" * 5000, "expected a number"),
        (*binary(np.zeros((1, 8, 8, 1), np.uint8), tail=b"x" * 63), "has 63 bytes, its shape"),
        (*binary(np.zeros((1, 8, 8, 1), np.uint8), binary_data_size=63), "announces 63 bytes, 64"),
        (*binary(np.zeros((1, 8, 8, 1), np.uint8), binary_data_size="64"), "announces '64' bytes"),
        (*binary(np.zeros((1, 8, 8, 1), np.uint8), binary_data_size=True), "announces True"),
    ],
)
def test_binary_sizes_that_lie_are_explained(model, content, header, message):
    assert message in refused(model, content, header)


def test_bytes_behind_json_data_are_refused(model):
    content = json.dumps(body(digits()[0][:1])).encode()
    assert "4 bytes behind the JSON belong to no input" in refused(
        model, content + b"more", str(len(content))
    )


def test_classes_come_as_value_index_and_label_most_probable_first(model):
    images = digits()[0][:3]
    wish = {"outputs": [{"name": "probabilities", "parameters": {"classification": 4}}]}
    (output,) = ask(model, body(images) | wish)["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 4])
    rows = np.reshape(output["data"], (3, 4))
    for row, probabilities in zip(rows, model.run(images)):
        parts = [text.split(":") for text in row]
        assert [int(part[1]) for part in parts] == np.argsort(-probabilities)[:4].tolist()
        assert [part[2] for part in parts] == [model.labels[int(part[1])] for part in parts]
        assert float(parts[0][0]) == pytest.approx(probabilities.max(), abs=1e-6)
    wish["outputs"][0]["parameters"]["binary_data"] = True
    content, header = answered(model, *binary(images, wish))
    assert oip.elements("x", content[header:], 12) == [text.encode() for text in rows.ravel()]


@pytest.mark.parametrize("count", [0, -1, 1.5, "3", True, 1_000_000])
def test_a_count_of_classes_that_is_none_is_explained(model, count):
    wish = {"outputs": [{"name": "probabilities", "parameters": {"classification": count}}]}
    assert "expected a number of classes" in refused(model, body(digits()[0][:1]) | wish)


def test_more_classes_than_there_are_give_all(model):
    wish = {"outputs": [{"name": "probabilities", "parameters": {"classification": 99}}]}
    assert ask(model, body(digits()[0][:1]) | wish)["outputs"][0]["shape"] == [1, 10]


def test_encoded_images_are_elements_or_base64(model):
    files = [b"one", b"", b"three"]
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [3]}
    texts = [base64.b64encode(data).decode().rstrip("=") for data in files]
    asked = json.dumps({"inputs": [tensor | {"data": texts}]}).encode()
    assert oip.parse(model, asked, None).files == files
    tail = b"".join(struct.pack("<I", len(data)) + data for data in files)
    content = {"inputs": [tensor | {"parameters": {"binary_data_size": len(tail)}}]}
    text = json.dumps(content).encode()
    assert oip.parse(model, text + tail, str(len(text))).files == files
    longer = json.dumps({"inputs": [tensor | {"data": texts[:2]}]}).encode()
    assert "needs 3 strings" in refused(model, longer)
    assert "is not base64" in refused(model, {"inputs": [tensor | {"data": ["!", "", ""]}]})


def test_elements_that_overrun_their_bytes_are_explained(model):
    tail = struct.pack("<I", 99) + b"short"
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1]}
    tensor["parameters"] = {"binary_data_size": len(tail)}
    text = json.dumps({"inputs": [tensor]}).encode()
    assert "are not 1 elements" in refused(model, text + tail, str(len(text)))


def test_a_number_that_is_none_is_null_in_json(model):
    inference = oip.parse(model, json.dumps(body(digits()[0][:1])).encode(), None)
    content, _ = oip_answers.answer(model, inference, np.array([[np.nan, np.inf, 0.5]], np.float32))
    assert json.loads(content)["outputs"][0]["data"] == [None, None, 0.5]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@settings(deadline=None, max_examples=60)
@given(
    key=st.sampled_from(["name", "datatype", "shape", "data", "inputs", "outputs", "id"]), junk=JSON
)
def test_whatever_takes_the_place_of_a_field_is_answered_or_explained(model, key, junk):
    request = body(np.zeros((1, 8, 8, 1), np.uint8))
    (request if key in ("inputs", "outputs", "id") else request["inputs"][0])[key] = junk
    content = json.dumps(request).encode()
    try:
        response = json.loads(answered(model, content)[0])
    except ServingError as error:
        assert error.status in (400, 413)
        assert str(error) and "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert math.isclose(sum(response["outputs"][0]["data"]), 1, abs_tol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_are_explained(model, content):
    with pytest.raises(InvalidRequest):
        oip.parse(model, content, None)


def test_metadata_describes_both_tensors_with_minus_one_for_the_batch(model):
    described = descriptions.metadata(model, ["3"])
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
    assert described["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}
    ]
    assert (described["name"], described["versions"]) == ("digits", ["3"])


def test_pixels_in_the_json_do_not_let_others_follow_it_the_next_time(model):
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": [0] * 64}
    text = json.dumps({"inputs": [tensor]}).encode()
    for _ in range(2):
        assert not oip.parse(model, text, str(len(text))).images.any()
        with pytest.raises(InvalidRequest, match="belong to no input"):
            oip.parse(model, text + bytes([1]) * 64, str(len(text)))
