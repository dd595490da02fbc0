"""An artifact passes when it agrees with its source, and only when it ran."""

import math

import pytest

from components.gates.result import GateResult
from export.verification.config import ExportConfig
from export.verification.parity_gates import parity_gates


def test_an_artifact_must_agree_and_must_have_run():
    good = {"framework": "torch", "artifact": "onnx", "batch": 32, "max_difference": 1e-6}
    good |= {"agreement": 1.0, "accuracy": 0.9, "source_accuracy": 0.9}
    assert all(gate.passed for gate in parity_gates([good], ExportConfig()))
    for change in (
        {"max_difference": 2e-4},
        {"max_difference": math.nan},
        {"max_difference": None},
        {"agreement": 0.99},
        {"agreement": math.nan},
        {"agreement": None},
        {"accuracy": 0.8985},
        {"accuracy": math.nan},
        {"accuracy": None},
        {"error": "the process was killed"},
    ):
        assert not all(gate.passed for gate in parity_gates([good | change], ExportConfig())), (
            change
        )


@pytest.mark.parametrize(
    "artifact, agreement, loss",
    [
        ("saved_model", 0.999, 0.001),
        ("safetensors", 0.999, 0.001),
        ("onnx_float16", 0.995, 0.003),
        ("tflite_dynamic_int8", 0.985, 0.005),
        ("onnx_int8", 0.985, 0.005),
    ],
)
def test_a_precision_has_its_own_limits_and_stands_up_to_them(artifact, agreement, loss):
    at = {"framework": "torch", "artifact": artifact, "batch": 64, "source_accuracy": 0.9}
    at |= {"max_difference": 1e-5, "mean_difference": 1e-6}
    at |= {"agreement": agreement, "accuracy": 0.9 - loss}
    assert all(gate.passed for gate in parity_gates([at], ExportConfig()))
    for change in ({"agreement": agreement - 1e-4}, {"accuracy": 0.9 - loss - 1e-4}):
        assert not all(gate.passed for gate in parity_gates([at | change], ExportConfig()))


@pytest.mark.parametrize(
    "artifact, most",
    [("tflite_float16", 0.005), ("tflite_dynamic_int8", 0.05), ("onnx_int8", 0.05)],
)
def test_reduced_precision_may_not_move_the_probabilities_of_all_images(artifact, most):
    """As a temperature that is lost on the way does, which changes no answer."""
    record = {"framework": "torch", "artifact": artifact, "batch": 64, "agreement": 1.0}
    record |= {"accuracy": 0.9, "source_accuracy": 0.9, "max_difference": 0.2}
    assert all(g.passed for g in parity_gates([record | {"mean_difference": most}], ExportConfig()))
    for mean in (1.01 * most, math.nan, None):
        gates = parity_gates([record | {"mean_difference": mean}], ExportConfig())
        assert [gate.name for gate in gates if not gate.passed] == ["mean_difference"]
    (gate, *_) = parity_gates([record | {"mean_difference": 0.0123}], ExportConfig())
    assert (gate.expected, gate.received) == (f"at most {most:g}", "0.012")


def test_probabilities_of_reduced_precision_may_differ_while_the_order_stays():
    record = {"framework": "torch", "artifact": "onnx_int8", "batch": 64, "max_difference": 0.04}
    record["mean_difference"] = 0.01
    record |= {"agreement": 1.0, "accuracy": 0.9, "source_accuracy": 0.9}
    assert all(gate.passed for gate in parity_gates([record], ExportConfig()))
    assert not all(g.passed for g in parity_gates([record | {"artifact": "onnx"}], ExportConfig()))


def test_the_gates_say_what_was_measured_what_is_allowed_and_of_what():
    record = {"framework": "torch", "artifact": "onnx", "batch": 7, "max_difference": 1e-4}
    record |= {"agreement": 0.999, "accuracy": 0.9, "source_accuracy": 0.901}
    of = ("torch", "onnx (batch 7)")
    assert parity_gates([record], ExportConfig()) == [
        GateResult("max_difference", "at most 0.0001", "0.0001", True, *of),
        GateResult("agreement", "at least 0.9990", "0.9990", True, *of),
        GateResult("accuracy_loss", "at most 0.0010", "0.0010", True, *of),
    ]
    crashed = record | {"error": "no memory"}
    assert parity_gates([record, crashed], ExportConfig())[3:] == [
        GateResult("parity", "to run", "failed: no memory", False, *of)
    ]


def test_an_artifact_may_be_more_accurate_than_its_source():
    record = {"framework": "torch", "artifact": "onnx_int8", "batch": 7, "agreement": 0.99}
    record |= {"accuracy": 0.99, "source_accuracy": 0.9, "mean_difference": 0.01}
    assert all(gate.passed for gate in parity_gates([record], ExportConfig()))
