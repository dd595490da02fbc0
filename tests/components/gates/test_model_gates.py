import math

import pytest

from components.gates.model_gates import Baseline, GatesConfig, check_model
from components.gates.result import GateRefused

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
