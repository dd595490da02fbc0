"""Time and size are bounded where that is asked for, and a time that is not known fails."""

import pytest

from components.gates.result import GateResult
from export.verification.artifact_gates import artifact_gates, format_of, left_out, refusals
from export.verification.config import ExportConfig
from export.verification.latency_gates import latency_gates

RECORDS = [
    {"framework": framework, "artifact": name, "bytes": size}
    for framework, name, size in (
        ("keras", "onnx", 2_000_000),
        ("keras", "onnx", 2_000_000),
        ("keras", "onnx_float16", 1_000_000),
        ("torch", "tflite", 500_000),
    )
]
LATENCY = {
    "keras": {"onnx": {"1": {"p50": 2.0, "p99": 9.0}, "32": {"p50": 40.0}}},
    "torch": {"tflite": {"1": {"p50": 0.5}}},
    "current": {"onnx": {"1": {"p50": 1.6}}},
}


def found(**limits) -> list[GateResult]:
    return latency_gates(RECORDS, LATENCY, ExportConfig(**limits))


def test_nothing_is_bounded_unless_it_is_asked_for():
    assert found() == []


def test_the_size_of_every_artifact_is_bounded_once():
    assert found(max_mb=1) == [
        GateResult("size", "at most 1 MB (export.max_mb)", "2 MB", False, "keras", "onnx"),
        GateResult("size", "at most 1 MB (export.max_mb)", "1 MB", True, "keras", "onnx_float16"),
        GateResult("size", "at most 1 MB (export.max_mb)", "0.5 MB", True, "torch", "tflite"),
    ]
    one_more = [RECORDS[0] | {"bytes": 2_000_001}]
    (gate,) = latency_gates(one_more, {}, ExportConfig(max_mb=2))
    assert not gate.passed


def test_the_median_of_one_image_is_bounded_where_the_format_is_for_cpus():
    expected = "at most 2 ms (export.max_latency_ms)"
    assert found(max_latency_ms=2) == [
        GateResult("latency", expected, "2 ms", True, "keras", "onnx"),
        GateResult("latency", expected, "0.5 ms", True, "torch", "tflite"),
    ]
    assert [gate.passed for gate in found(max_latency_ms=1.9)] == [False, True]


def test_a_time_against_the_releases_is_bounded_where_that_was_measured():
    (gate,) = found(max_slowdown=1.25)
    expected = "at most 1.25 times the release's (export.max_slowdown)"
    received = "1.25 times the release's"
    assert gate == GateResult("slowdown", expected, received, True, "keras", "onnx")
    assert not found(max_slowdown=1.24)[0].passed


@pytest.mark.parametrize(
    "unknown", [{}, {"torch": {}}, {"torch": {"tflite": {"1": {"p99": 1.0}, "32": {"p50": 1.0}}}}]
)
def test_a_time_that_was_not_measured_fails_each_limit_of_it(unknown):
    records, current = RECORDS[-1:], {"tflite": {"1": {"p50": 1.0}}}
    limits = ExportConfig(max_latency_ms=1e6, max_slowdown=1e6)
    gates = latency_gates(records, unknown | {"current": current}, limits)
    assert [(gate.name, gate.passed) for gate in gates] == [
        ("latency", False),
        ("slowdown", False),
    ]


def parity_record(artifact: str, batch: int, **changes) -> dict:
    record = {"framework": "torch", "artifact": artifact, "batch": batch, "bytes": 10}
    record |= {"max_difference": 1e-6, "mean_difference": 1e-7, "agreement": 1.0}
    record |= {"accuracy": 0.9, "source_accuracy": 0.9}
    return record | changes


def test_parity_time_and_size_of_an_artifact_are_judged_together():
    gates = artifact_gates([parity_record("onnx", 1)], {}, ExportConfig(max_mb=1))
    assert [gate.name for gate in gates] == ["max_difference", "agreement", "accuracy_loss", "size"]
    slow = {"torch": {"onnx": {"1": {"p50": 3.0}}}}
    gates = artifact_gates([parity_record("onnx", 1)], slow, ExportConfig(max_latency_ms=2))
    assert [gate.name for gate in gates if not gate.passed] == ["latency"]


def test_a_reduced_precision_is_left_out_for_its_first_fault_and_refuses_where_it_is_required():
    records = [
        parity_record("onnx_int8", 1, agreement=0.9),
        parity_record("onnx_int8", 7, error="crashed"),
        parity_record("tflite_int8", 1),
        parity_record("onnx", 1),
    ]
    limits = ExportConfig()
    gates = artifact_gates(records, {}, limits)
    assert refusals(gates, limits) == []
    assert left_out(gates, limits) == {
        ("torch", "onnx_int8"): "torch onnx_int8 (batch 1): agreement is 0.9000, expected at least "
        "0.9850"
    }
    required = ExportConfig(required=("onnx_int8",))
    assert [gate.received for gate in refusals(gates, required)] == ["0.9000", "failed: crashed"]
    assert left_out(gates, required) == {}


def test_a_float32_form_that_differs_refuses_and_is_never_left_out():
    limits = ExportConfig()
    gates = artifact_gates([parity_record("onnx", 1, max_difference=1.0)], {}, limits)
    assert [gate.name for gate in refusals(gates, limits)] == ["max_difference"]
    assert left_out(gates, limits) == {}


def test_the_format_is_the_artifacts_whatever_batch_it_ran_at():
    for artifact in ("onnx_int8", "onnx_int8 (batch 64)"):
        gate = GateResult("agreement", "", "", False, "torch", artifact)
        assert format_of(gate).name == "onnx_int8"
    limits = ExportConfig()
    gate = GateResult("agreement", "1", "0", False, None, "onnx_int8 (batch 64)")
    assert left_out([gate], limits).keys() == {("", "onnx_int8")}
