"""The Open Inference Protocol over gRPC: a real server, asked over the network."""

import grpc
import numpy as np
import pytest
from PIL import Image

from serving.server.oip_answers import byte_strings
from serving.server.oip_grpc import SERVICE
from serving.server.protos.pool import message
from serving.store.store import Store
from tests.helpers.grpc_servers import Client, grpc_server
from tests.helpers.images import encode
from tests.helpers.serving_fixtures import LABELS, digits, digits_release, expected

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("line")
    store = Store(directory / "serving")
    source = digits_release(directory / "source")
    store.publish("digits", source)
    store.publish("digits", source)
    with grpc_server(directory / "serving") as server:
        yield server


@pytest.fixture(scope="module")
def ask(running):
    with grpc.insecure_channel(running.target) as channel:
        yield Client(channel, SERVICE)


def tensor(images, **changes) -> dict:
    return {"name": "image", "datatype": "UINT8", "shape": images.shape} | changes


def raw(images, **changes) -> dict:
    """Fields of a request with raw contents."""
    return {
        "model_name": "digits",
        "inputs": [tensor(images)],
        "raw_input_contents": [images.tobytes()],
    } | changes


def typed(images, **changes) -> dict:
    """Fields of a request with typed contents."""
    contents = {"uint_contents": images.ravel().tolist()}
    return {"model_name": "digits", "inputs": [tensor(images, contents=contents)]} | changes


def refused(ask, method: str = "ModelInfer", **fields) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(method, **fields)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("count", [1, 3, 64])
def test_raw_contents_are_answered_with_raw_probabilities(ask, count):
    images = digits()[0][:count]
    answer = ask("ModelInfer", **raw(images), id="7")
    assert (answer.model_name, answer.model_version, answer.id) == ("digits", "2", "7")
    (output,) = answer.outputs
    assert (output.name, output.datatype) == ("probabilities", "FP32")
    assert list(output.shape) == [count, 10] and not output.HasField("contents")
    received = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(count, 10)
    np.testing.assert_allclose(received, expected(images), atol=1e-5)


def test_typed_contents_are_answered_raw_as_triton_does(ask):
    images = digits()[0][:3]
    answer = ask("ModelInfer", **typed(images))
    assert not answer.outputs[0].HasField("contents") and answer.id == ""
    received = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(3, 10)
    np.testing.assert_allclose(received, expected(images), atol=1e-5)


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("is_raw", [True, False])
def test_encoded_images_are_decoded_by_the_server(ask, shape, is_raw):
    images = digits()[0][:2]
    files = [encode(Image.fromarray(image[..., 0]), "PNG") for image in images]
    encoded = {"name": "image_bytes", "datatype": "BYTES", "shape": shape}
    if is_raw:
        content = b"".join(len(file).to_bytes(4, "little") + file for file in files)
        request = {"inputs": [encoded], "raw_input_contents": [content]}
    else:
        request = {"inputs": [encoded | {"contents": {"bytes_contents": files}}]}
    answer = ask("ModelInfer", model_name="digits", **request)
    received = np.frombuffer(answer.raw_output_contents[0], "<f4")
    np.testing.assert_allclose(received.reshape(2, 10), expected(images), atol=1e-5)


@pytest.mark.parametrize("form", [raw, typed])
def test_the_best_classes_are_given_as_text_when_asked_for(ask, form):
    images = digits()[0][:2]
    asked = {"name": "probabilities", "parameters": {"classification": {"int64_param": 3}}}
    answer = ask("ModelInfer", **form(images), outputs=[asked])
    (output,) = answer.outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [2, 3])
    wanted = []
    for row in expected(images):
        best = np.argsort(-row)[:3]
        wanted += [f"{row[index]:f}:{index}:{LABELS[index]}" for index in best]
    assert answer.raw_output_contents[0] == byte_strings(wanted)


def test_more_classes_than_there_are_are_all_of_them(ask):
    asked = {"name": "probabilities", "parameters": {"classification": {"int64_param": 99}}}
    answer = ask("ModelInfer", **typed(digits()[0][:1]), outputs=[asked])
    assert list(answer.outputs[0].shape) == [1, 10]


def test_unknown_parameters_are_ignored_and_the_final_response_is_marked_when_asked(ask):
    parameters = {"priority": {"uint64_param": 3}, "sequence_id": {"int64_param": 0}}
    parameters["triton_enable_empty_final_response"] = {"bool_param": True}
    answer = ask("ModelInfer", **raw(digits()[0][:1]), parameters=parameters)
    assert answer.parameters["triton_final_response"].bool_param
    assert "triton_final_response" not in ask("ModelInfer", **raw(digits()[0][:1])).parameters


ONE = np.zeros((1, 8, 8, 1), np.uint8)
FILE = {"name": "image_bytes", "datatype": "BYTES", "shape": [1]}


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        (raw(ONE, model_name="digit"), NOT_FOUND, "unknown model: 'digit'"),
        (raw(ONE, model_name=""), NOT_FOUND, "unknown model"),
        (raw(ONE, model_version="1"), NOT_FOUND, "version 1 of digits is not served"),
        (raw(ONE, model_version="x"), NOT_FOUND, "version x of digits"),
        (raw(ONE, inputs=[]), INVALID, "names [], expected ['image'] or ['image_bytes']"),
        (raw(ONE, inputs=[tensor(ONE), tensor(ONE)]), INVALID, "['image', 'image']"),
        (raw(ONE, inputs=[tensor(ONE, name="picture")]), INVALID, "names ['picture']"),
        (raw(ONE, inputs=[tensor(ONE, datatype="FP32")]), INVALID, "'FP32', expected 'UINT8'"),
        (raw(ONE, inputs=[tensor(ONE, shape=[1, 8, 8])]), INVALID, "expected [-1, 8, 8, 1]"),
        (raw(ONE, inputs=[tensor(ONE, shape=[0, 8, 8, 1])]), INVALID, "at least one image"),
        (raw(ONE, inputs=[tensor(ONE, shape=[-1, 8, 8, 1])]), INVALID, "at least one image"),
        (raw(ONE, inputs=[tensor(ONE, shape=[2, 8, 8, 1])]), INVALID, "64 bytes, its shape [2,"),
        (raw(ONE, inputs=[tensor(ONE, shape=[65, 8, 8, 1])]), INVALID, "65 images in one request"),
        (raw(ONE, raw_input_contents=[b""]), INVALID, "0 bytes, its shape [1, 8, 8, 1] needs 64"),
        (raw(ONE, raw_input_contents=[]), INVALID, "0 raw_input_contents and image no contents"),
        (raw(ONE, raw_input_contents=[b"", b""]), INVALID, "2 raw_input_contents"),
        (typed(ONE, raw_input_contents=[ONE.tobytes()]), INVALID, "both contents and raw"),
        (
            raw(ONE, inputs=[tensor(ONE, contents={"int_contents": [0]})], raw_input_contents=[]),
            INVALID,
            "image has int_contents, expected uint_contents for UINT8",
        ),
        (
            raw(ONE, inputs=[tensor(ONE, contents={"uint_contents": [0] * 63})])
            | {"raw_input_contents": []},
            INVALID,
            "63 uint_contents, its shape [1, 8, 8, 1] needs 64",
        ),
        (
            raw(ONE, inputs=[tensor(ONE, contents={"uint_contents": [0] * 63 + [256]})])
            | {"raw_input_contents": []},
            INVALID,
            "image holds 256, expected whole numbers from 0 to 255",
        ),
        (raw(ONE, outputs=[{"name": "logits"}]), INVALID, "['logits'], expected ['probabilities']"),
        (raw(ONE, outputs=[{"name": "probabilities"}] * 2), INVALID, "expected ['probabilities']"),
        (
            raw(
                ONE,
                outputs=[
                    {
                        "name": "probabilities",
                        "parameters": {"classification": {"string_param": "3"}},
                    }
                ],
            ),
            INVALID,
            "classification is '3', expected a number of classes",
        ),
        (raw(ONE, parameters={"sequence_id": {"int64_param": 5}}), INVALID, "no sequences"),
        (raw(ONE, parameters={"sequence_start": {"bool_param": True}}), INVALID, "no sequences"),
        (
            raw(ONE, inputs=[tensor(ONE, parameters={"shared_memory_region": {}})]),
            UNIMPLEMENTED,
            "image is in shared memory",
        ),
        (raw(ONE, inputs=[FILE], raw_input_contents=[b"\1\0\0"]), INVALID, "not 1 elements"),
        (raw(ONE, inputs=[FILE], raw_input_contents=[b"\5\0\0\0a"]), INVALID, "not 1 elements"),
        (
            raw(ONE, inputs=[FILE], raw_input_contents=[b"\4\0\0\0junk"]),
            INVALID,
            "image",
        ),
        (raw(ONE, inputs=[FILE | {"shape": [1, 2]}]), INVALID, "[1, 2], expected [-1] or [-1, 1]"),
        (raw(ONE, inputs=[FILE | {"shape": [65]}]), INVALID, "65 images in one request"),
        (
            raw(ONE, inputs=[FILE | {"contents": {"bytes_contents": [b"a", b"b"]}}])
            | {"raw_input_contents": []},
            INVALID,
            "2 bytes_contents, its shape [1] needs 1",
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_said_with_its_status(ask, fields, code, message):
    received, details = refused(ask, **fields)
    assert received == code and message in details, details


def test_large_messages_are_answered_as_small_ones(ask):
    """Read in a thread, for the event loop must go on."""
    image = Image.fromarray(digits()[0][5][..., 0])
    padded = encode(image, "PNG") + b"\0" * 150_000
    request = {"inputs": [FILE], "raw_input_contents": [len(padded).to_bytes(4, "little") + padded]}
    answer = ask("ModelInfer", model_name="digits", **request)
    received = np.frombuffer(answer.raw_output_contents[0], "<f4")
    np.testing.assert_allclose(received, expected(digits()[0][5:6])[0], atol=1e-5)
    code, details = refused(ask, **raw(ONE, raw_input_contents=[b"0" * 150_000]))
    assert code == INVALID and "150000 bytes" in details


def test_a_stream_is_answered_in_order_and_goes_on_after_an_error(ask):
    images = digits()[0][:20]
    made = message("inference.ModelInferRequest")
    requests = [made(**raw(images[n : n + 1]), id=str(n)) for n in range(20)]
    requests[7].model_name = "faces"
    requests[9].raw_input_contents[0] = b""
    answers = list(ask.stream("ModelStreamInfer", iter(requests)))
    assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(20)]
    wrong = {n: a.error_message for n, a in enumerate(answers) if a.error_message}
    assert wrong.keys() == {7, 9}
    assert "unknown model: 'faces'" in wrong[7] and "0 bytes" in wrong[9]
    for number, answer in enumerate(answers):
        if number not in wrong:
            received = np.frombuffer(answer.infer_response.raw_output_contents[0], "<f4")
            np.testing.assert_allclose(
                received, expected(images[number : number + 1])[0], atol=1e-5
            )


def test_the_server_and_its_models_tell_of_themselves(ask):
    assert ask("ServerLive").live and ask("ServerReady").ready
    about = ask("ServerMetadata")
    assert about.name == "darkroom" and "classification" in about.extensions
    for version in ("", "2"):
        assert ask("ModelReady", name="digits", version=version).ready
        described = ask("ModelMetadata", name="digits", version=version)
        assert (described.platform, list(described.versions)) == ("onnxruntime_onnx", ["2"])
        (taken,), (given,) = described.inputs, described.outputs
        assert (taken.name, taken.datatype, list(taken.shape)) == ("image", "UINT8", [-1, 8, 8, 1])
        assert (given.name, given.datatype, list(given.shape)) == (
            "probabilities",
            "FP32",
            [-1, 10],
        )
    assert not ask("ModelReady", name="faces").ready
    assert not ask("ModelReady", name="digits", version="1").ready
    assert refused(ask, "ModelMetadata", name="faces")[0] == NOT_FOUND


def test_the_configuration_is_in_tritons_terms(ask):
    config = ask("ModelConfig", name="digits").config
    assert (config.name, config.backend, config.max_batch_size) == ("digits", "onnxruntime", 64)
    (taken,), (given,) = config.input, config.output
    assert list(taken.dims) == [8, 8, 1] and list(given.dims) == [10]
    assert (taken.data_type, given.data_type) == (2, 11)  # TYPE_UINT8, TYPE_FP32
    assert given.label_filename == "labels.txt"
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"


def test_statistics_count_inferences_and_failures(ask):
    def counts():
        (stats,) = ask("ModelStatistics", name="digits").model_stats
        figures = stats.inference_stats
        return np.array([stats.inference_count, figures.success.count, figures.fail.count])

    before = counts()
    ask("ModelInfer", **raw(digits()[0][:5]))
    refused(ask, **raw(ONE, raw_input_contents=[]))
    assert (counts() - before).tolist() == [5, 1, 1]
    assert len(ask("ModelStatistics").model_stats) == 1
    assert refused(ask, "ModelStatistics", name="faces")[0] == NOT_FOUND


def test_the_repository_lists_what_is_served_and_is_not_changed_by_clients(ask):
    (entry,) = ask("RepositoryIndex").models
    assert (entry.name, entry.version, entry.state) == ("digits", "2", "READY")
    for method in ("RepositoryModelLoad", "RepositoryModelUnload"):
        code, details = refused(ask, method, model_name="digits")
        assert code == grpc.StatusCode.PERMISSION_DENIED and "--allow-load" in details


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("SystemSharedMemoryStatus", "shared memory is not offered"),
        ("CudaSharedMemoryRegister", "shared memory is not offered"),
        ("TraceSetting", "tracing is not offered"),
        ("LogSettings", "log settings cannot be changed"),
    ],
)
def test_what_is_not_offered_says_so(ask, method, message):
    code, details = refused(ask, method)
    assert code == UNIMPLEMENTED and message in details
