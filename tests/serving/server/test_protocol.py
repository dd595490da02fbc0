"""Bodies of the Open Inference Protocol: right ones are answered, all others are explained."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.inference.errors import InvalidRequest, ServingError, TooLarge
from serving.inference.model import Model
from serving.server import protocol
from serving.store.release import Release
from tests.helpers.serving_fixtures import digits, digits_release, expected


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(Release("digits", 3, digits_release(tmp_path_factory.mktemp("release") / "3")))


def body(images, data=None, **changes) -> dict:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(np.shape(images))}
    tensor["data"] = np.ravel(images).tolist() if data is None else data
    return {"inputs": [tensor | changes]}


def ask(model, request) -> dict:
    return json.loads(protocol.answer(model, json.dumps(request).encode()))


def refused(model, request) -> str:
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    with pytest.raises(InvalidRequest) as caught:
        protocol.answer(model, content)
    return str(caught.value)


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
        ({"name": "picture"}, "names ['picture'], expected ['image']"),
        ({"datatype": "FP32"}, "datatype 'FP32', expected 'UINT8'"),
        ({"shape": [1, 8, 8]}, "shape [1, 8, 8], expected [-1, 8, 8, 1]"),
        ({"shape": [0, 8, 8, 1]}, "at least one image"),
        ({"shape": [-1, 8, 8, 1]}, "at least one image"),
        ({"shape": "1,8,8,1"}, "list of whole numbers"),
        ({"shape": [True, 8, 8, 1]}, "list of whole numbers"),
        ({"shape": [1.0, 8, 8, 1]}, "list of whole numbers"),
        ({"shape": [2, 8, 8, 1]}, "has 64 values, its shape [2, 8, 8, 1] needs 128"),
        ({"data": []}, "has 0 values"),
        ({"data": "AAAA"}, "needs data"),
        ({"data": [256] * 64}, "holds 256, expected whole numbers from 0 to 255"),
        ({"data": [0] * 63 + [-1]}, "holds -1"),
        ({"data": [10**400] * 64}, "holds 1000"),
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
    assert message in refused(model, body(digits()[0][:1], **changes))


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
        (b'{"inputs": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_a_request_is_explained(model, content, message):
    assert message in refused(model, content)


def test_too_many_images_are_refused_before_their_data_is_read(model):
    with pytest.raises(TooLarge, match="65 images") as caught:
        ask(model, body(digits()[0][:1], shape=[65, 8, 8, 1]))
    assert caught.value.status == 413


def test_a_full_batch_fits_the_body_limit_however_it_is_written(model):
    images = np.full((64, 8, 8, 1), 255, np.uint8)
    for request in (body(images), body(images, images.tolist())):
        assert len(json.dumps(request)) < protocol.body_limit(model)


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
        response = json.loads(protocol.answer(model, content))
    except ServingError as error:
        assert error.status in (400, 413)
        assert str(error) and "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert math.isclose(sum(response["outputs"][0]["data"]), 1, abs_tol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_are_explained(model, content):
    with pytest.raises(InvalidRequest):
        protocol.answer(model, content)


def test_metadata_describes_both_tensors_with_minus_one_for_the_batch(model):
    described = protocol.metadata(model)
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
    assert described["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}
    ]
    assert (described["name"], described["versions"]) == ("digits", ["3"])
