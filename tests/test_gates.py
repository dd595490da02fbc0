import math

import pytest

from components.gates import (
    Baseline,
    GateRefused,
    check_model,
    choose_champion,
    parity_gates,
)
from pipeline.config import GatesConfig

CONFIG = GatesConfig(min_accuracy=0.9, max_regression=0.01)


def _passed(accuracy: float, loss: float = 0.1, baseline: Baseline | None = None) -> bool:
    metrics = {"accuracy": accuracy, "loss": loss}
    return all(gate.passed for gate in check_model("keras", metrics, CONFIG, baseline))


def test_the_bound_itself_passes_and_just_below_does_not():
    assert _passed(0.9)
    assert not _passed(math.nextafter(0.9, 0))


@pytest.mark.parametrize(
    "accuracy, loss",
    [(math.nan, 0.1), (None, 0.1), (0.95, math.nan), (0.95, math.inf), (0.95, None)],
)
def test_a_metric_that_is_not_a_number_never_passes(accuracy, loss):
    assert not _passed(accuracy, loss)


def test_a_first_model_is_held_to_the_absolute_gates_alone():
    names = {gate.name for gate in check_model("torch", {"accuracy": 1, "loss": 0}, CONFIG, None)}
    assert names == {"accuracy", "finite_loss"}


def test_a_model_may_lose_the_tolerance_against_the_release_and_no_more():
    release = Baseline(7, 0.95, "on the same test images")
    assert _passed(0.945, baseline=release)
    assert not _passed(0.935, baseline=release)
    assert not _passed(0.95, baseline=Baseline(7, math.nan, "by its manifest"))


def test_a_refusal_is_one_sentence_with_expected_and_received():
    failed = [g for g in check_model("keras", {"accuracy": 0.5, "loss": 1}, CONFIG, None)]
    sentence = str(GateRefused([gate for gate in failed if not gate.passed]))
    assert sentence == ("keras: accuracy is 0.5000, expected at least 0.9000 (gates.min_accuracy).")


def test_an_artifact_must_agree_and_must_have_run():
    good = {"model": "torch", "artifact": "onnx", "batch": 32, "max_difference": 1e-6}
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


def test_the_champion_is_the_most_accurate_and_then_the_surest():
    assert (
        choose_champion(
            {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.91, "loss": 0.9}}
        )
        == "torch"
    )
    assert (
        choose_champion(
            {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.9, "loss": 0.2}}
        )
        == "keras"
    )
