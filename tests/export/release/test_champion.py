"""Which of several models is the champion, and why."""

import numpy as np
import pytest

from export.release.push import _why, choose_champion


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


@pytest.mark.parametrize("names", [("keras", "torch"), ("torch", "keras")])
def test_of_two_as_good_the_surer_is_the_champion_and_then_the_more_accurate(names):
    one, other = names
    even = {one: {"accuracy": 0.9, "loss": 0.2}, other: {"accuracy": 0.9, "loss": 0.1}}
    assert choose_champion(even) == other
    nearly = {one: {"accuracy": 0.9, "loss": 0.1}, other: {"accuracy": 0.91, "loss": 0.1}}
    for metrics in (nearly, dict(reversed(nearly.items()))):
        assert choose_champion(metrics, {one: right((0, 360)), other: right((0, 364))}) == other


def test_where_it_is_not_known_of_both_which_images_are_right_the_accuracy_decides():
    metrics = {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.91, "loss": 0.9}}
    for framework in metrics:
        assert choose_champion(metrics, {framework: right((0, 9))}) == "torch"


def right(*ranges: tuple[int, int]) -> np.ndarray:
    """Of 400 images those in these ranges."""
    found = np.zeros(400, bool)
    for start, stop in ranges:
        found[start:stop] = True
    return found


@pytest.mark.parametrize(
    "of_torch, latency, champion",
    [
        # torch has twelve more: more than chance, however slow it is.
        (right((0, 388)), {"keras": 0.1, "torch": 0.9}, "torch"),
        # Three more, or nine more and six less, are a coin: the faster one.
        (right((0, 379)), {"keras": 0.1, "torch": 0.9}, "keras"),
        (right((0, 379)), {"keras": 0.9, "torch": 0.1}, "torch"),
        (right((6, 385)), {"keras": 0.1, "torch": 0.9}, "keras"),
        # Times that are the same, or not known of both: the lower loss.
        (right((0, 379)), {"keras": 0.1, "torch": 0.1}, "keras"),
        (right((0, 379)), {"torch": 0.1}, "keras"),
        (right((0, 379)), None, "keras"),
        (right((0, 376)), {"keras": 0.9, "torch": 0.1}, "torch"),
    ],
)
def test_of_models_that_chance_cannot_tell_apart_the_faster_one_is_released(
    of_torch, latency, champion
):
    answers = {"keras": right((0, 376)), "torch": of_torch}
    losses = {"keras": 0.1, "torch": 0.2}
    metrics = {
        name: {"accuracy": float(of.mean()), "loss": losses[name]} for name, of in answers.items()
    }
    assert choose_champion(metrics, answers, latency) == champion


def test_the_more_accurate_of_two_is_the_champion_whatever_its_name_and_its_loss():
    metrics = {"keras": {"accuracy": 0.91, "loss": 0.9}, "torch": {"accuracy": 0.9, "loss": 0.1}}
    assert choose_champion(metrics) == "keras"
    answers = {"keras": right((0, 364)), "torch": right((0, 340))}
    assert choose_champion(metrics, answers, {"keras": 9.0, "torch": 1.0}) == "keras"


def test_a_time_longer_by_a_tenth_is_the_same_time():
    metrics = {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.9, "loss": 0.2}}
    assert choose_champion(metrics, None, {"keras": 1.1, "torch": 1.0}) == "keras"
    assert choose_champion(metrics, None, {"keras": 1.101, "torch": 1.0}) == "torch"


@pytest.mark.parametrize(
    "latency, faster",
    [
        ({}, False),
        ({"torch": 2.0}, False),
        ({"keras": 0.5}, False),
        ({"keras": 0.95, "torch": 1.0}, False),
        ({"keras": 1.0, "torch": 1.1}, False),
        ({"keras": 1.0, "torch": 1.2}, True),
    ],
)
def test_why_a_less_accurate_model_is_the_champion(latency, faster):
    metrics = {"keras": {"accuracy": 0.9, "loss": 0.1}, "torch": {"accuracy": 0.91, "loss": 0.9}}
    assert _why("keras", metrics, latency) == (
        "torch's 0.9100 is better by no more than chance, and "
        + (
            "it is faster (1 against 1.2 ms an image)"
            if faster
            else "its loss is lower (0.1 against 0.9)"
        )
    )
    assert _why("torch", metrics, latency) == ""
