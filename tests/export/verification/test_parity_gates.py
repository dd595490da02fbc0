"""An artifact passes when it agrees with its source, and only when it ran."""

import math

from export.verification.parity_gates import parity_gates


def test_an_artifact_must_agree_and_must_have_run():
    good = {"framework": "torch", "artifact": "onnx", "batch": 32, "max_difference": 1e-6}
    good["agreement"] = 1.0
    assert all(gate.passed for gate in parity_gates([good], 1e-4, 1.0))
    for change in (
        {"max_difference": 2e-4},
        {"max_difference": math.nan},
        {"max_difference": None},
        {"agreement": 0.99},
        {"agreement": math.nan},
        {"agreement": None},
        {"error": "the process was killed"},
    ):
        assert not all(gate.passed for gate in parity_gates([good | change], 1e-4, 1.0)), change
