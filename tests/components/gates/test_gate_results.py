"""What each gate says of a model, word for word: people act on it, and verdict.json carries it."""

import math

import numpy as np
import pytest

from components.gates.accuracy_gates import images_of
from components.gates.chance import wilson
from components.gates.change_gate import change_of_data
from components.gates.comparison import Comparison
from components.gates.model_gates import GatesConfig, judge
from components.gates.result import GateRefused, GateResult, at_least, at_most, failed_or_lowest
from tests.helpers.model_metrics import answering, metrics_of

ALL = GatesConfig(
    min_accuracy=0.5, max_loss=0.5, min_top_k=0.9, min_recall=0.9, min_precision=0.9,
    max_calibration_error=0.05, min_robustness=0.6,
)  # fmt: skip
COMPARISONS = [
    Comparison(3, "current", 0.975, "on the same test images", 80, 3, 4),
    Comparison(2, "best", 0.98, "by its manifest", 300, among=3),
]


def measured(wrong: int = 3) -> dict:
    """Of 80 images in two classes so many are wrong."""
    labels = np.arange(80) % 2
    answers = np.where(np.arange(80) < wrong, 1 - labels, labels)
    found = metrics_of(answering(answers, 2), labels, ["a\n", "b"])
    found |= {"top_3_accuracy": 0.97, "robustness": {"noise": 0.9, "blur": 0.5}}
    return found | {"loss": 0.25, "calibration": {"error": 0.02}}


def result(name, expected, received, passed=True, **rest) -> GateResult:
    return GateResult(name, expected, received, passed, "keras", **rest)


def test_of_a_model_that_is_measured_in_full():
    assert judge("keras", measured(), COMPARISONS, ALL) == [
        result(
            "accuracy", "at least 0.5000 (gates.min_accuracy)",
            "0.9625 (77 of 80 images, 95% interval 0.8955 to 0.9872)",
            threshold=0.5, value=77 / 80, key="gates.min_accuracy",
        ),
        result(
            "majority",
            "at least 0.6000: always naming the most frequent class has 40 of 80 right, and fewer "
            "could be chance (gates.significance)", "0.9625",
            threshold=0.6, value=77 / 80, key="gates.significance",
        ),
        result("finite_loss", "a finite number", "0.2500", value=0.25),
        result(
            "loss", "at most 0.5000 (gates.max_loss)", "0.2500",
            threshold=0.5, value=0.25, key="gates.max_loss",
        ),
        result(
            "top_3_accuracy", "at least 0.9000 (gates.min_top_k)", "0.9700",
            threshold=0.9, value=0.97, key="gates.min_top_k",
        ),
        result(
            "recall", "at least 0.9000 (gates.min_recall)", "0.9500 (38 of 40 images)",
            scope="class 'a\\n'", threshold=0.9, value=0.95, key="gates.min_recall",
        ),
        result(
            "precision", "at least 0.9000 (gates.min_precision)", "0.9512",
            scope="class b", threshold=0.9, value=39 / 41, key="gates.min_precision",
        ),
        result(
            "calibration_error", "at most 0.0500 (gates.max_calibration_error)", "0.0200",
            threshold=0.05, value=0.02, key="gates.max_calibration_error",
        ),
        result(
            "robustness", "at least 0.6000 (gates.min_robustness)", "0.5195", False,
            scope="images under blur", threshold=0.6, value=0.5 / (77 / 80),
            key="gates.min_robustness",
        ),
        result(
            "accuracy_against_release",
            "at least 0.9650 (release 3 has 0.9750 on the same test images, gates.max_regression "
            "is 0.01), or a loss that chance explains (p from 0.025)",
            "0.9625 (of 80 images 4 right before and wrong now, 3 the other way round, p = 0.5)",
            threshold=0.975 - 0.01, value=77 / 80, key="gates.max_regression",
        ),
        result(
            "accuracy_against_best",
            "at least 0.9700 (release 2, the best of 3, has 0.9800 by its manifest, "
            "gates.max_regression is 0.01), or a loss that chance explains (p from 0.0083)",
            "0.9625 (of 80 images, 300 before, p = 0.29)",
            threshold=0.98 - 0.01, value=77 / 80, key="gates.max_regression",
        ),
    ]  # fmt: skip


def test_of_a_model_of_which_nothing_was_measured():
    gates = judge("keras", {"accuracy": None, "loss": None}, [], ALL)
    assert [gate.passed for gate in gates] == [False] * 8
    assert [(gate.name, gate.expected, gate.received, gate.key) for gate in gates] == [
        (name, expected + f" ({key})" * bool(key), received, key)
        for name, expected, received, key in (
            ("accuracy", "at least 0.5000", "not a number", "gates.min_accuracy"),
            (
                "majority", "better than always naming the most frequent class", "not measured",
                "gates.significance",
            ),
            ("finite_loss", "a finite number", "not a number", None),
            ("loss", "at most 0.5000", "not a number", "gates.max_loss"),
            ("top_k_accuracy", "at least 0.9000", "not a number", "gates.min_top_k"),
            ("recall", "a recall for every class", "not measured", "gates.min_recall"),
            (
                "calibration_error", "at most 0.0500", "not a number",
                "gates.max_calibration_error",
            ),
            (
                "robustness", "at least 0.6000 of the accuracy under every corruption",
                "not measured", "gates.min_robustness",
            ),
        )
    ]  # fmt: skip
    assert {gate.framework for gate in gates} == {"keras"}


@pytest.mark.parametrize("more", [{}, {"images": 80}, {"confusion_matrix": [[0, 0], [0, 0]]}])
def test_of_a_model_whose_images_are_not_counted(more):
    metrics = {"accuracy": 0.9, "loss": 0.1, "per_class": {"a": {"recall": 0.9}}} | more
    config = GatesConfig(min_accuracy=0.5, confidence=0.9, min_recall=0)
    accuracy, majority, _, recall = judge("keras", metrics, [], config)
    assert accuracy.passed is ("images" in more)
    assert (majority.received, majority.passed) == ("not measured", False)
    assert (recall.received, recall.passed) == ("0.9000", True)
    assert recall.expected == "at least 0.0000 (gates.min_recall)"


def test_of_a_model_without_any_right_answer_no_share_is_kept():
    metrics = {"accuracy": 0.0, "loss": 0.1, "robustness": {"noise": 0.0}}
    (*_, robustness) = judge("keras", metrics, [], ALL)
    assert (robustness.received, robustness.passed) == ("not a number", False)


def test_images_are_those_that_are_named_or_else_those_of_the_confusion_matrix():
    matrix = {"confusion_matrix": [[3, 1], [0, 2]]}
    assert [images_of(m) for m in (matrix, matrix | {"images": 7}, {})] == [6, 7, 0]


def test_of_few_images_and_of_too_few():
    (accuracy, majority, *_, recall) = judge(
        "keras", measured(), [], GatesConfig(min_accuracy=0.96, confidence=0.9)
    )
    assert accuracy == result(
        "accuracy", "at least 0.9600 (gates.min_accuracy) at the lower end of the interval "
        "(gates.confidence)", "0.9625 (77 of 80 images, 90% interval 0.9098 to 0.9849)", False,
        threshold=0.96, value=pytest.approx(0.909825, abs=1e-6), key="gates.min_accuracy",
    )  # fmt: skip
    assert recall == result(
        "recall", "above 0, as a class may not be lost (gates.min_recall; 0 lets it pass)",
        "0.9500 (38 of 40 images)",
        scope="class 'a\\n'", threshold=0.0, value=0.95, key="gates.min_recall",
    )  # fmt: skip
    labels = np.array([0, 0, 1, 1])
    few = metrics_of(answering(labels, 2), labels)
    (_, majority, *_) = judge("keras", few, [], GatesConfig(min_accuracy=0.5))
    assert majority == result(
        "majority", "more test images: always naming the most frequent class has 2 of 4 right, "
        "and all of them right could be chance (gates.significance)", "1.0000", False,
        value=1.0, key="gates.significance",
    )  # fmt: skip


@pytest.mark.parametrize(("images", "lost"), [(4, False), (5, True)])
def test_a_class_is_lost_where_chance_does_not_explain_it(images, lost):
    """By default; a bound of the user's own holds whatever the number of images."""
    metrics = {
        "accuracy": 0.9, "loss": 0.1, "confusion_matrix": [[0, images], [0, 40]],
        "per_class": {"a\n": {"recall": 0.0}, "b": {"recall": 1.0}},
    }  # fmt: skip
    config = GatesConfig(min_accuracy=0.5)
    (recall,) = [gate for gate in judge("keras", metrics, [], config) if gate.name == "recall"]
    assert recall.passed is not lost
    if lost:
        assert recall.warning is None
    else:
        assert recall.warning == (
            "keras recognises none of the test images of 'a\\n', of which there are too few "
            "(below 5) to say that a class is lost: add images of them."
        )
    own = GatesConfig(min_accuracy=0.5, min_recall=0.1)
    (recall,) = [gate for gate in judge("keras", metrics, [], own) if gate.name == "recall"]
    assert (recall.passed, recall.warning) == (False, None)


def test_of_a_release_on_other_data():
    fallen = Comparison(2, "current", 0.33, "on it", 300, 5, 5, 1, 0.5, 300)
    assert change_of_data([fallen]) == [
        GateResult(
            "release_on_todays_data",
            "what release 2 had when it was released, 0.5000 of 300, but for chance",
            "0.3300 of 300 (p = 1.6e-05)", True, threshold=0.5, value=0.33,
            warning="release 2 was right on 0.5000 of its own 300 test images and is on 0.3300 of "
            "today's 300, which chance does not explain: the images or their labels have changed, "
            "and the bar that it sets has fallen with them. Look at the data before you trust "
            "this run's comparison.",
        )
    ]  # fmt: skip


def test_the_bound_itself_is_good_enough_and_what_is_not_a_number_is_not():
    for value, low, high in ((0.4, False, True), (0.5, True, True), (0.6, True, False)):
        assert at_least("x", "torch", value, 0.5, "k").passed is low
        assert at_most("x", "torch", value, 0.5, "k").passed is high
    for gate in (at_least, at_most):
        found = gate("x", "torch", math.nan, 0.5, "k", "blue images")
        assert (found.received, found.passed, found.scope) == ("not a number", False, "blue images")
        assert found.to_json()["value"] is None and found.to_json()["threshold"] == 0.5


def test_all_that_failed_are_told_else_the_lowest():
    gates = [at_least("x", "torch", value, 0.5, "k") for value in (0.9, 0.4, 0.7, 0.3)]
    assert failed_or_lowest(gates) == [gates[1], gates[3]]
    assert failed_or_lowest([gates[0], gates[2]]) == [gates[2]]


def test_a_result_says_where_it_is_from():
    gate = GateResult("agreement", "at least 1", "0", False, "torch", "onnx (batch 7)", "cats")
    assert gate.sentence() == "torch onnx (batch 7): agreement of cats is 0, expected at least 1"
    assert GateResult("labels", "b", "a", False).sentence() == "labels is a, expected b"
    refused = GateRefused([gate] * 6)
    assert str(refused) == "; ".join([gate.sentence()] * 6) + "." and refused.exit_code == 3
    assert str(GateRefused([gate] * 7)).endswith("; and 1 more.")
    row = gate.to_json()
    assert row["model"] == "torch" and "framework" not in row
    assert refused.gates == (row,) * 6 and GateResult.from_json(row) == gate
    for bound in (math.inf, math.nan):
        assert GateResult("x", "", "", True, threshold=bound).to_json()["threshold"] is None


def test_an_accuracy_is_unsure_only_where_its_interval_reaches_below_what_is_asked():
    low, high = wilson(77, 80)
    for bound, doubt in ((low, False), (low + 1e-9, True), (high, True), (high + 1e-9, False)):
        accuracy, *_ = judge("keras", measured(), [], GatesConfig(min_accuracy=bound))
        assert ("too few to be sure" in accuracy.received) is doubt
