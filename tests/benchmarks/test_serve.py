"""What the serving benchmark sends, and how it reads answers and the load generators' output."""

import argparse
import json

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks import load_clients, open_inference, serve, serve_parts
from components.base.process import StepFailed

WRK = """Running 2s test @ http://127.0.0.1:44775/v2/models/digits/infer
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    11.83ms    6.62ms  57.91ms   76.83%
    Req/Sec   349.80     97.54   530.00     60.00%
  698 requests in 2.00s, 568.49KB read
Requests/sec:    348.43
Transfer/sec:    283.78KB

{"requests": 698, "microseconds": 2003279, "p50": 10721, "p99": 36663, "errors": 0}
"""
H2LOAD = """starting benchmark...
Application protocol: h2c

finished in 2.01s, 663.00 req/s, 230.99KB/s
requests: 1326 total, 1330 started, 1326 done, 1326 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1326 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 461.99KB (473074) total, 4.18KB (4278) headers (space savings 96.02%), 141.15KB (144534) data
                     min         max         mean         sd        +/- sd
time for request:     1.40ms     17.20ms      5.98ms      2.00ms    72.55%
"""  # noqa: E501
LOG = "1796004772800666\t200\t3000\n1796004772800680\t200\t5000\n1796004772800651\t200\t7000\n"


def test_wrk_s_summary_is_the_line_that_the_script_prints():
    load = load_clients.of_wrk(WRK)
    assert load == load_clients.Load(698, pytest.approx(698 / 2.003279), 10721, 36663)


@pytest.mark.parametrize(
    "printed, reason",
    [
        (WRK.replace('"errors": 0', '"errors": 3'), "3 of 698 requests failed"),
        (WRK.replace('"requests": 698', '"requests": 0'), "0 of 0 requests failed"),
        ("Running 2s test\n", "did not print its summary"),
    ],
)
def test_a_load_of_wrk_with_failures_is_none(printed, reason):
    with pytest.raises(StepFailed, match=reason):
        load_clients.of_wrk(printed)


def test_h2load_s_percentiles_are_those_of_its_log():
    load = load_clients.of_h2load(H2LOAD, LOG, size=109)
    assert load == load_clients.Load(1326, 663.0, 5000.0, pytest.approx(6960.0))


@pytest.mark.parametrize(
    "printed, log, size, reason",
    [
        (H2LOAD.replace("1326 succeeded", "1325 succeeded"), LOG, 109, "some of 1326"),
        (H2LOAD, LOG.replace("200", "503", 1), 109, "some of 1326"),
        (H2LOAD, "", 109, "some of 1326"),
        (H2LOAD, LOG, 110, "some of 1326"),  # an answer without a message is an error of gRPC
        ("starting benchmark...\n", LOG, 109, "did not print its summary"),
    ],
)
def test_a_load_of_h2load_with_failures_is_none(printed, log, size, reason):
    with pytest.raises(StepFailed, match=reason):
        load_clients.of_h2load(printed, log, size)


def test_wrk_s_script_posts_the_file_with_the_headers(tmp_path):
    script = load_clients.wrk_script({"Content-Type": "a/b", "X": "1"}, tmp_path / "body")
    assert 'wrk.headers = {["Content-Type"] = "a/b", ["X"] = "1"}' in script
    assert f'io.open("{tmp_path}/body", "rb")' in script


def test_what_is_missing_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(load_clients.shutil, "which", lambda name: None)
    assert load_clients.missing() == (
        "wrk and h2load and taskset missing: apt-get install wrk nghttp2-client util-linux"
    )
    monkeypatch.setattr(load_clients.shutil, "which", lambda name: name)
    assert load_clients.missing() is None


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1) * 10


def test_a_json_body_has_the_pixels_flat():
    body = open_inference.request("json", "digits", IMAGES)
    assert body.path == "/v2/models/digits/infer"
    (tensor,) = json.loads(body.content)["inputs"]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("image", "UINT8", [2, 3, 4, 1])
    assert tensor["data"] == IMAGES.ravel().tolist()


def test_a_binary_body_has_the_pixels_behind_a_header_of_the_length_that_is_named():
    body = open_inference.request("binary", "digits", IMAGES)
    length = int(body.headers["Inference-Header-Content-Length"])
    header = json.loads(body.content[:length])
    assert body.content[length:] == IMAGES.tobytes()
    (tensor,) = header["inputs"]
    assert tensor["parameters"] == {"binary_data_size": IMAGES.nbytes}
    assert header["outputs"] == [{"name": "probabilities", "parameters": {"binary_data": True}}]


@pytest.mark.parametrize("kind", open_inference.GRPC_KINDS)
def test_protobuf_reads_what_is_sent_by_grpc(kind):
    body = open_inference.request(kind, "digits", IMAGES)
    assert body.path == "/inference.GRPCInferenceService/ModelInfer"
    assert body.content[:5] == b"\0" + (len(body.content) - 5).to_bytes(4, "big")
    message = messages()["ModelInferRequest"].FromString(body.content[5:])
    (tensor,) = message.inputs
    assert (message.model_name, tensor.name, tensor.datatype) == ("digits", "image", "UINT8")
    assert list(tensor.shape) == [2, 3, 4, 1]
    raw, typed = list(message.raw_input_contents), list(tensor.contents.uint_contents)
    expected = [IMAGES.tobytes()], IMAGES.ravel().tolist()
    assert (raw, typed) == ((expected[0], []) if kind == "grpc_raw" else ([], expected[1]))


ANSWER = np.linspace(0, 1, 20, dtype=np.float32).reshape(2, 10)


@pytest.mark.parametrize("raw", [True, False])
def test_what_protobuf_writes_is_read_as_an_answer_of_grpc(raw):
    message = messages()["ModelInferResponse"](model_name="digits", id="a" * 300)
    output = message.outputs.add(name="probabilities", datatype="FP32", shape=ANSWER.shape)
    if raw:
        message.raw_output_contents.append(ANSWER.tobytes())
    else:
        output.contents.fp32_contents.extend(ANSWER.ravel().tolist())
    found = open_inference.grpc_answer(message.SerializeToString())
    assert np.array_equal(found, ANSWER)


def test_an_answer_of_http_is_json_or_bytes_behind_json():
    output = {"name": "probabilities", "datatype": "FP32", "shape": [2, 10]}
    content = json.dumps({"outputs": [output | {"data": ANSWER.ravel().tolist()}]}).encode()
    assert np.array_equal(open_inference.http_answer(content), ANSWER)
    header = json.dumps({"outputs": [output]}).encode()
    found = open_inference.http_answer(header + ANSWER.tobytes(), str(len(header)))
    assert np.array_equal(found, ANSWER)


def messages() -> dict:
    """The specification's messages, as far as they are used here, built by protobuf itself."""
    kinds = descriptor_pb2.FieldDescriptorProto
    text, numbers, raw = kinds.TYPE_STRING, kinds.TYPE_INT64, kinds.TYPE_BYTES
    file = descriptor_pb2.FileDescriptorProto(name="open.proto", package="o", syntax="proto3")

    def message(name: str, *fields: tuple) -> None:
        made = file.message_type.add(name=name)
        for number, label, kind, many in fields:
            field = made.field.add(name=label, number=number, label=3 if many else 1)
            if isinstance(kind, str):
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".o.{kind}"
            else:
                field.type = kind

    message(
        "Contents",
        (4, "uint_contents", kinds.TYPE_UINT32, True),
        (6, "fp32_contents", kinds.TYPE_FLOAT, True),
    )
    head = (1, "name", text, False), (2, "datatype", text, False), (3, "shape", numbers, True)
    message("Tensor", *head, (5, "contents", "Contents", False))
    model = (1, "model_name", text, False), (3, "id", text, False)
    message(
        "ModelInferRequest", *model,
        (5, "inputs", "Tensor", True), (7, "raw_input_contents", raw, True),
    )  # fmt: skip
    message(
        "ModelInferResponse", *model,
        (5, "outputs", "Tensor", True), (6, "raw_output_contents", raw, True),
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"o.{name}"))
        for name in ("ModelInferRequest", "ModelInferResponse")
    }


def test_counts_of_clients_are_read_from_one_word():
    assert serve._counts("1,4,16") == [1, 4, 16]
    for wrong in ("", "0", "1,", "4;16", "-1"):
        with pytest.raises(argparse.ArgumentTypeError, match="are no counts"):
            serve._counts(wrong)


def test_what_cannot_be_measured_is_a_row_that_is_missed_and_says_why():
    def refused() -> list[serve_parts.Row]:
        raise ValueError("the server has no gRPC")

    (row,) = serve_parts._attempt("digits, grpc_raw", refused)
    assert (row.met, row.reason) == (False, "the server has no gRPC")
    (row,) = serve_parts._attempt("digits, json", lambda: [serve_parts.Row("", [2.0], [1.0])])
    assert (row.what, row.met, row.reason) == ("digits, json", True, "")
