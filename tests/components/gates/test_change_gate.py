"""A model against the releases before it: noise refuses nothing, steps down do not add up."""

import dataclasses
import math

import numpy as np
import pytest

from components.gates.chance import paired
from components.gates.change_gate import ChangeLimits, change_gates, change_of_data
from components.gates.comparison import Comparison
from tests.helpers.model_metrics import answering, metrics_of

CONFIG = ChangeLimits()
SAME = "on the same test images"


def compared(old: np.ndarray, new: np.ndarray, kind="current", among=1, version=1) -> Comparison:
    """From which images each has right, bool (N,)."""
    counts = int((new & ~old).sum()), int((old & ~new).sum())
    return Comparison(version, kind, float(old.mean()), SAME, len(old), *counts, among)


def refused(new: np.ndarray, *comparisons: Comparison, config: ChangeLimits = CONFIG) -> set[str]:
    metrics = {"accuracy": float(new.mean()), "images": len(new)}
    gates = change_gates("keras", metrics, comparisons, config)
    return {gate.name for gate in gates if not gate.passed}


def drawn(difficulty: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which images another training of the same recipe has right."""
    return rng.random(len(difficulty)) > difficulty


def against_the_line(line: list[np.ndarray], new: np.ndarray) -> set[str]:
    """As the Gates step chooses: the last release and the best of all."""
    current, best = len(line) - 1, max(range(len(line)), key=lambda n: line[n].mean())
    found = [compared(line[current], new, version=current + 1)]
    if best != current:
        found.append(compared(line[best], new, "best", len(line), best + 1))
    return refused(new, *found)


@pytest.mark.parametrize("releases", [1, 10])
def test_noise_on_404_images_refuses_less_than_one_model_in_twenty(releases):
    """Two hundred trainings of one recipe, each after releases of the same."""
    wrong, lost_more = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        difficulty = rng.beta(0.2, 3, 404)  # some 94% right; a few images are hard for all
        line = [drawn(difficulty, rng) for _ in range(releases)]
        new = drawn(difficulty, rng)
        wrong += bool(against_the_line(line, new))
        lost_more += new.mean() < line[-1].mean() - CONFIG.max_regression
    assert wrong < 200 * 0.05
    assert lost_more > 200 * 0.15  # what the margin alone would have refused


def test_many_small_steps_down_on_400_images_do_not_add_up():
    """Each step loses ten images and wins six, one point, which is noise. Ten of them are not."""
    caught = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        line, unseen = [rng.permutation(400) < 384], None
        for step in range(1, 11):
            new = line[-1].copy()
            new[rng.choice(np.flatnonzero(new), 10, replace=False)] = False
            new[rng.choice(np.flatnonzero(~line[-1]), 6, replace=False)] = True
            assert not refused(new, compared(line[-1], new))  # a step alone is never seen
            if against_the_line(line, new):
                unseen = step - 1
                break
            line.append(new)
        assert unseen is not None, "the steps added up"
        caught.append(unseen)
    assert np.mean(caught) < 6


def test_a_model_far_worse_than_the_release_is_refused_with_counts_and_chance():
    old, new = np.ones(404, bool), np.arange(404) >= 20
    metrics = {"accuracy": float(new.mean()), "images": 404}
    (gate,) = change_gates("keras", metrics, [compared(old, new, version=7)], CONFIG)
    assert not gate.passed and gate.name == "accuracy_against_release"
    assert "of 404 images 20 right before and wrong now, 0 the other way round" in gate.received
    assert "release 7 has 1.0000 on the same test images" in gate.expected
    assert gate.key == "gates.max_regression" and gate.threshold == pytest.approx(0.99)


def test_a_loss_within_what_is_allowed_passes_however_certain_it_is():
    old, new = np.ones(10_000, bool), np.arange(10_000) >= 90
    assert not refused(new, compared(old, new))
    assert refused(new, compared(old, new), config=ChangeLimits(max_regression=0.005))
    new = np.arange(10_000) >= 2500
    assert not refused(new, compared(old, new), config=ChangeLimits(max_regression=0.25))


def test_a_loss_just_as_likely_as_what_is_asked_for_passes():
    old, new = np.ones(1, bool), np.zeros(1, bool)
    limits = {"max_regression": 0, "significance": paired(0, 1)}
    assert not refused(new, compared(old, new), config=ChangeLimits(**limits))
    limits["significance"] = np.nextafter(limits["significance"], 1)
    assert refused(new, compared(old, new), config=ChangeLimits(**limits))


def test_the_best_of_many_is_lucky_and_must_be_missed_by_more():
    old, new = np.ones(100, bool), np.arange(100) >= 6  # p = 0.016
    assert refused(new, compared(old, new, "best", among=1))
    assert not refused(new, compared(old, new, "best", among=10))
    assert refused(new, compared(old, new, "best", among=10), config=ChangeLimits(significance=0.2))


def test_releases_before_best_since_no_longer_count_as_the_best():
    old, new = np.ones(400, bool), np.arange(400) >= 60
    best = compared(old, new, "best", version=4)
    assert refused(new, best) == {"accuracy_against_best"}
    assert not refused(new, best, config=ChangeLimits(best_since=5))
    assert refused(new, compared(old, new, version=4), config=ChangeLimits(best_since=5))


def test_a_release_that_could_not_be_run_is_compared_as_two_samples_are():
    new = np.arange(200) >= 20  # 0.9
    by_its_manifest = Comparison(2, "current", 0.93, "by its manifest, on its own data", 300)
    assert not refused(new, by_its_manifest)
    assert refused(new, Comparison(2, "current", 0.99, "by its manifest, on its own data", 300))
    # On how many images its accuracy is is not known: nothing says that chance explains the loss.
    unknown = Comparison(2, "current", 0.93, "by its manifest, on its own data")
    assert refused(new, unknown)
    metrics = {"accuracy": 0.9, "images": 200}
    (gate,) = change_gates("keras", metrics, [unknown], CONFIG)
    assert gate.received == "0.9000"
    # Half of a comparison image by image is none.
    half = dataclasses.replace(by_its_manifest, only_old_right=4)
    assert change_gates("keras", metrics, [half], CONFIG) == change_gates(
        "keras", metrics, [by_its_manifest], CONFIG
    )


@pytest.mark.parametrize("value", [math.nan, None])
def test_what_is_not_a_number_never_passes(value):
    unknown = Comparison(2, "current", value, "by its manifest", 400)
    assert refused(np.ones(400, bool), unknown)
    labels = np.arange(400) % 4
    metrics = metrics_of(answering(labels, 4), labels) | {"accuracy": value}
    (gate,) = change_gates("keras", metrics, [compared(labels > 5, labels > 5)], CONFIG)
    assert not gate.passed and gate.received == "not a number"


def test_a_release_that_is_worse_on_todays_images_is_a_change_of_the_data():
    """Two classes' labels swapped in the folder: the release falls from 0.50 to 0.33, and the bar
    with it. The gate passes, as the new model has no part in it, and warns."""
    swapped = Comparison(2, "current", 0.33, SAME, 300, 5, 5, 1, 0.50, 300)
    (gate,) = change_of_data([swapped])
    assert gate.passed and gate.framework is None
    assert "the images or their labels have changed" in gate.warning
    noise = Comparison(2, "current", 0.47, SAME, 300, 5, 5, 1, 0.50, 300)
    assert change_of_data([noise])[0].warning is None
    better = Comparison(2, "current", 0.9, SAME, 300, 5, 5, 1, 0.50, 300)
    assert change_of_data([better])[0].warning is None


def test_of_a_release_that_was_not_run_today_nothing_is_said():
    assert change_of_data([Comparison(2, "current", 0.5, "by its manifest", 300)]) == []
    assert change_of_data([Comparison(2, "best", 0.3, SAME, 300, 5, 5, 4, 0.5, 300)]) == []
    assert change_of_data([]) == []


@pytest.mark.parametrize(
    "silent",
    [
        Comparison(3, "best", 0.3, SAME, 300, 5, 5, 4, 0.5, 300),
        Comparison(2, "current", 0.33, SAME, 300, None, None, 1, 0.5, 300),
        Comparison(2, "current", 0.33, SAME, 300, 5, 5, 1, None, 300),
        Comparison(2, "current", 0.33, SAME, 300, 5, 5, 1, 0.5, None),
        Comparison(2, "current", 0.33, SAME, None, 5, 5, 1, 0.5, 300),
    ],
)
def test_a_comparison_that_says_nothing_of_the_data_hides_none_that_does(silent):
    telling = Comparison(2, "current", 0.33, SAME, 300, 5, 5, 1, 0.50, 300)
    assert change_of_data([silent]) == []
    assert change_of_data([silent, telling]) == change_of_data([telling])
