"""TensorFlow Serving's REST interface, as its clients use it."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from serving.store.store import Store
from tests.helpers.serving_fixtures import digits, digits_release, expected, request, server


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    store, source = Store(directory / "out/serving"), digits_release(directory / "source")
    for _ in range(2):
        store.publish("digits", source)
    store.label("digits", "stable", 1)
    with server(directory / "out") as (base, _, _):
        yield f"{base}/v1/models/digits"


def ask(url: str, body) -> tuple[int, dict]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(url, content)


def png(image) -> str:
    encoded = io.BytesIO()
    Image.fromarray(image[..., 0]).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()


@pytest.mark.parametrize("named", [False, True])
def test_rows_and_columns_give_the_models_probabilities(url, named):
    images = digits()[0][:5]
    rows = [{"image": image.tolist()} if named else image.tolist() for image in images]
    columns = {"image": images.tolist()} if named else images.tolist()
    status, answer = ask(f"{url}:predict", {"instances": rows})
    assert status == 200 and answer.keys() == {"predictions"}
    np.testing.assert_allclose(answer["predictions"], expected(images), atol=1e-5)
    assert ask(f"{url}:predict", {"inputs": columns}) == (
        200, {"outputs": answer["predictions"]},
    )  # fmt: skip


def test_encoded_images_are_taken_by_serving_bytes(url):
    images = digits()[0][:3]
    rows = [{"b64": png(image)} for image in images]
    for body in (
        {"instances": rows},
        {"instances": [{"image_bytes": row} for row in rows]},
        {"inputs": rows},
        {"inputs": {"image_bytes": rows}},
    ):
        status, answer = ask(f"{url}:predict", body | {"signature_name": "serving_bytes"})
        assert status == 200
        (received,) = answer.values()
        np.testing.assert_allclose(received, expected(images), atol=1e-5)


@pytest.mark.parametrize("path", ["", "/versions/2", "/versions/1", "/labels/stable"])
def test_versions_and_labels_are_addressed(url, path):
    status, _ = ask(f"{url}{path}:predict", {"instances": digits()[0][:1].tolist()})
    assert status == 200


def test_status_lists_each_version_and_metadata_both_signatures(url):
    good = {"error_code": "OK", "error_message": ""}
    rows = [{"version": n, "state": "AVAILABLE", "status": good} for n in ("2", "1")]
    assert request(url) == (200, {"model_version_status": rows})
    assert request(f"{url}/versions/1") == (200, {"model_version_status": rows[1:]})
    status, about = request(f"{url}/metadata")
    assert about["model_spec"] == {"name": "digits", "signature_name": "", "version": "2"}
    defined = about["metadata"]["signature_def"]["signature_def"]
    assert defined.keys() == {"serving_default", "serving_bytes"}
    taken = defined["serving_default"]["inputs"]["image"]
    assert taken["dtype"] == "DT_UINT8"
    assert [d["size"] for d in taken["tensor_shape"]["dim"]] == ["-1", "8", "8", "1"]
    assert defined["serving_bytes"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"


IMAGE = [[[0]] * 8] * 8


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (":predict", b"", 400, "JSON Parse error"),
        (":predict", b"junk", 400, "JSON Parse error"),
        (":predict", [], 400, "expected an object"),
        (":predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        (":predict", {"inputs": [], "instances": []}, 400, "only one of"),
        (":predict", {"instances": {}}, 400, "to be an list/array"),
        (":predict", {"instances": []}, 400, "No values in 'instances'"),
        (":predict", {"instances": [5]}, 400, "holds a number, expected images nested as"),
        (":predict", {"instances": [IMAGE[:7]]}, 400, "nested unlike its shape [1, 8, 8, 1]"),
        (":predict", {"instances": [IMAGE, IMAGE[:7]]}, 400, "nested unlike its shape"),
        (":predict", {"instances": [[[[256]] * 8] * 8]}, 400, "holds 256"),
        (":predict", {"instances": [[[[0.5]] * 8] * 8]}, 400, "holds float"),
        (":predict", {"instances": [[[[None]] * 8] * 8]}, 400, "holds NoneType"),
        (":predict", {"instances": [IMAGE] * 65}, 413, "65 images"),
        (":predict", {"instances": [{"pixels": IMAGE}]}, 400, "keys must be equal to: image"),
        (":predict", {"instances": [{"image": IMAGE}, IMAGE]}, 400, "got a list at item 1"),
        (":predict", {"instances": [{"b64": "AAAA"}]}, 400, '"signature_name": "serving_bytes"'),
        (":predict", {"inputs": {"pixels": [IMAGE]}}, 400, "Missing named input: image"),
        (":predict", {"inputs": 5}, 400, "expected a list of image"),
        (":predict", {"inputs": []}, 400, "at least one image"),
        (":predict", {"signature_name": 5}, 400, "must be a string"),
        (":predict", {"signature_name": "x", "instances": [IMAGE]}, 400, 'name: "x" not found'),
        ("/versions/9:predict", {"instances": [IMAGE]}, 404, "version 9 of digits is not served"),
        (
            "/labels/canary:predict",
            {"instances": [IMAGE]},
            400,
            "version label: 'canary' of",
        ),
        (":regress", {}, 501, "not offered"),
        ("/versions/x", None, 400, "Malformed request: GET"),
        (":predict", None, 400, "Malformed request: GET"),
        ("", b"{}", 400, "Malformed request: POST"),
        ("/versions/9", None, 404, "Could not find version 9 of model digits"),
    ],
)
def test_what_is_wrong_is_said_with_its_status(url, path, body, status, message):
    received, answer = request(url + path) if body is None else ask(url + path, body)
    assert received == status and answer.keys() == {"error"}
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"b64": "AAAA"}, "not an image"),
        ({"b64": "!"}, "is not base64"),
        ([0], 'expected {"b64": "..."}'),
        ({"image": {"b64": "AAAA"}}, "keys must be equal to: image_bytes"),
    ],
)
def test_what_is_no_file_is_explained(url, row, message):
    body = {"signature_name": "serving_bytes", "instances": [row]}
    status, answer = ask(f"{url}:predict", body)
    assert status == 400 and message in answer["error"]


def test_an_unknown_model_is_404_by_every_path(url):
    other = url.replace("digits", "digit")
    for path, body in (("", None), ("/metadata", None), (":predict", {"instances": [IMAGE]})):
        status, answer = request(other + path) if body is None else ask(other + path, body)
        assert status == 404 and "digit" in answer["error"]
