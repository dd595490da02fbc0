"""TensorFlow Serving's gRPC services: a real server, asked with the published messages too."""

import grpc
import numpy as np
import pytest
from PIL import Image

from serving.server.protos.pool import message
from serving.server.tf_serving_grpc import MODEL, PREDICTION
from serving.store.store import Store
from tests.helpers.grpc_servers import Client, grpc_server, run_with_published_messages
from tests.helpers.images import encode
from tests.helpers.serving_fixtures import digits, digits_release, expected

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
PRECONDITION, UNIMPLEMENTED = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    store = Store(directory / "serving")
    source = digits_release(directory / "source")
    for _ in range(3):
        store.publish("digits", source)
    store.label("digits", "stable", 2)
    with grpc_server(directory / "serving") as server:
        yield server


@pytest.fixture(scope="module")
def channel(running):
    with grpc.insecure_channel(running.target) as channel:
        yield channel


@pytest.fixture(scope="module")
def predict(channel):
    client = Client(channel, PREDICTION)
    return lambda **fields: client("Predict", **fields)


def tensor(shape, dtype="DT_UINT8", **values) -> dict:
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": [{"size": size} for size in shape]},
        **values,
    }


def pixels(images, **changes) -> dict:
    """Fields of a request for `serving_default`."""
    taken = tensor(images.shape, tensor_content=images.tobytes()) | changes
    return {"model_spec": {"name": "digits"}, "inputs": {"image": taken}}


def files(*contents: bytes, **changes) -> dict:
    """Fields of a request for `serving_bytes`."""
    taken = tensor([len(contents)], "DT_STRING", string_val=contents) | changes
    spec = {"name": "digits", "signature_name": "serving_bytes"}
    return {"model_spec": spec, "inputs": {"image_bytes": taken}}


def values(answer) -> np.ndarray:
    output = answer.outputs["probabilities"]
    assert output.dtype == 1  # DT_FLOAT
    shape = [dim.size for dim in output.tensor_shape.dim]
    return np.array(output.float_val, np.float32).reshape(shape)


@pytest.mark.parametrize("count", [1, 3, 64])
def test_pixels_are_answered_with_probabilities(predict, count):
    images = digits()[0][:count]
    answer = predict(**pixels(images), output_filter=["probabilities"])
    np.testing.assert_allclose(values(answer), expected(images), atol=1e-5)
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("digits", 3, "serving_default")


def test_pixels_may_be_numbers_of_which_the_last_is_repeated(predict):
    images = digits()[0][:2].copy()
    images[1, 4:] = 7
    numbers = images.ravel().tolist()
    for sent in (numbers, numbers[:97]):
        answer = predict(**pixels(images, tensor_content=b"", int_val=sent))
        np.testing.assert_allclose(values(answer), expected(images), atol=1e-5)


def test_files_are_decoded_by_the_server(predict):
    images = digits()[0][:2]
    answer = predict(**files(*[encode(Image.fromarray(i[..., 0]), "PNG") for i in images]))
    np.testing.assert_allclose(values(answer), expected(images), atol=1e-5)
    assert answer.model_spec.signature_name == "serving_bytes"


@pytest.mark.parametrize(
    ("choice", "version"),
    [({}, 3), ({"version": {"value": 2}}, 2), ({"version_label": "stable"}, 2)],
)
def test_a_version_is_chosen_by_number_or_label(predict, choice, version):
    fields = pixels(ONE)
    fields["model_spec"] |= choice
    assert predict(**fields).model_spec.version.value == version


ONE = np.zeros((1, 8, 8, 1), np.uint8)


def spec(**fields) -> dict:
    return pixels(ONE) | {"model_spec": fields}


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"inputs": {}}, INVALID, "names no model"),
        (spec(name="digit"), NOT_FOUND, "unknown model: 'digit'"),
        (spec(name="digits", version={"value": 1}), NOT_FOUND, "version 1 of digits"),
        (spec(name="digits", version={"value": -1}), NOT_FOUND, "version -1 of digits"),
        (spec(name="digits", version_label="canary"), INVALID, "version label: 'canary'"),
        (spec(name="digits", signature_name="x"), PRECONDITION, "expected 'serving_default' or"),
        (spec(name="digits", signature_name="serving_bytes"), INVALID, "expected ['image_bytes']"),
        (pixels(ONE) | {"output_filter": ["logits"]}, INVALID, "names ['logits'], expected ['pr"),
        (pixels(ONE) | {"inputs": {}}, INVALID, "inputs names [], expected ['image']"),
        (pixels(ONE, dtype="DT_FLOAT"), INVALID, "dtype DT_FLOAT, expected DT_UINT8"),
        (pixels(ONE, dtype=99), INVALID, "dtype 99, expected DT_UINT8"),
        (pixels(ONE, tensor_shape={}), INVALID, "shape [], expected [-1, 8, 8, 1]"),
        (pixels(ONE, tensor_content=b"1"), INVALID, "1 bytes of tensor_content, its shape [1, 8"),
        (pixels(ONE, tensor_content=b""), INVALID, "0 bytes of tensor_content"),
        (pixels(ONE, int_val=[1]), INVALID, "both tensor_content and int_val"),
        (pixels(ONE, tensor_content=b"", int_val=[0] * 65), INVALID, "65 int_val"),
        (pixels(ONE, tensor_content=b"", int_val=[256]), INVALID, "holds 256, expected whole"),
        (pixels(ONE, tensor_content=b"", int_val=[0, -1]), INVALID, "holds -1, expected whole"),
        (pixels(np.zeros((65, 8, 8, 1), np.uint8)), INVALID, "65 images in one request"),
        (files(b"junk"), INVALID, "image"),
        (files(b"junk", dtype="DT_UINT8"), INVALID, "dtype DT_UINT8, expected DT_STRING"),
        (files(b"a", b"b", string_val=[b"a"]), INVALID, "1 string_val, its shape [2] needs 2"),
        (files(), INVALID, "shape [0], expected [-1] with at least one image"),
        (files(*[b"a"] * 65), INVALID, "65 images in one request"),
    ],
)
def test_what_is_wrong_is_said_with_tensorflow_servings_status(predict, fields, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        predict(**fields)
    assert caught.value.code() == code and message in caught.value.details()


def test_metadata_are_both_signatures(channel):
    ask = Client(channel, PREDICTION)
    asked = {"model_spec": {"name": "digits"}, "metadata_field": ["signature_def"]}
    answer = ask("GetModelMetadata", **asked)
    assert answer.model_spec.version.value == 3
    signatures = message("tensorflow.serving.SignatureDefMap")()
    assert answer.metadata["signature_def"].Unpack(signatures)
    images = signatures.signature_def["serving_default"]
    assert images.method_name == "tensorflow/serving/predict"
    assert [dim.size for dim in images.inputs["image"].tensor_shape.dim] == [-1, 8, 8, 1]
    assert signatures.signature_def["serving_bytes"].inputs["image_bytes"].dtype == 7  # DT_STRING
    for fields in ([], ["signature_def", "graph"]):
        with pytest.raises(grpc.RpcError) as caught:
            ask("GetModelMetadata", **asked | {"metadata_field": fields})
        assert caught.value.code() == INVALID
        assert "expected ['signature_def']" in caught.value.details()


def test_the_status_of_every_version_or_of_one(channel):
    ask = Client(channel, MODEL)

    def states(**fields):
        answer = ask("GetModelStatus", model_spec={"name": "digits"} | fields)
        return [
            (one.version, one.state, one.status.error_code) for one in answer.model_version_status
        ]

    assert states() == [(3, 30, 0), (2, 30, 0)]  # AVAILABLE, OK
    assert states(version={"value": 2}) == states(version_label="stable") == [(2, 30, 0)]
    with pytest.raises(grpc.RpcError) as caught:
        states(name="faces")
    assert caught.value.code() == NOT_FOUND


@pytest.mark.parametrize(
    ("service", "method", "message"),
    [
        (PREDICTION, "Classify", "not tf.Example: use Predict"),
        (PREDICTION, "Regress", "not tf.Example: use Predict"),
        (PREDICTION, "MultiInference", "not tf.Example: use Predict"),
        (MODEL, "HandleReloadConfigRequest", "follows the release store"),
    ],
)
def test_what_is_not_offered_says_so(channel, service, method, message):
    with pytest.raises(grpc.RpcError) as caught:
        Client(channel, service)(method)
    assert caught.value.code() == UNIMPLEMENTED and message in caught.value.details()


def test_a_client_with_the_published_messages_is_answered(running):
    """TensorFlow Serving's own client stubs, in another process."""
    image = digits()[0][4]
    printed = run_with_published_messages(
        f"TARGET, CONTENT = {running.target!r}, {image.tobytes()!r}\n"
        """
import grpc
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DT_FLOAT, DT_UINT8
from tensorflow_serving.apis import get_model_metadata_pb2 as metadata
from tensorflow_serving.apis import get_model_status_pb2 as status
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

channel = grpc.insecure_channel(TARGET)
request = PredictRequest()
request.model_spec.name = "digits"
tensor = request.inputs["image"]
tensor.dtype, tensor.tensor_content = DT_UINT8, CONTENT
for size in (1, 8, 8, 1):
    tensor.tensor_shape.dim.add().size = size
prediction = PredictionServiceStub(channel)
answer = prediction.Predict(request, timeout=20)
output = answer.outputs["probabilities"]
assert isinstance(output, TensorProto) and output.dtype == DT_FLOAT
assert [dim.size for dim in output.tensor_shape.dim] == [1, 10]
row = list(output.float_val)
asked = metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
asked.model_spec.name = "digits"
described = metadata.SignatureDefMap()
assert prediction.GetModelMetadata(asked, timeout=20).metadata["signature_def"].Unpack(described)
asked = status.GetModelStatusRequest()
asked.model_spec.name = "digits"
states = ModelServiceStub(channel).GetModelStatus(asked, timeout=20).model_version_status
print(row.index(max(row)), answer.model_spec.version.value, sorted(described.signature_def))
print(states[0].version, states[0].state == status.ModelVersionStatus.AVAILABLE)
"""
    )
    assert printed.splitlines() == ["4 3 ['serving_bytes', 'serving_default']", "3 True"]
