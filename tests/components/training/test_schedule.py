"""Learning rates at the ends, in between, and the state of what depends on val_loss."""

import json
import math

import pytest

from components.training.config import TrainConfig
from components.training.schedule import Schedule

STEPS = 1000
BASE = {"epochs": 10, "learning_rate": 0.1, "min_learning_rate": 1e-4}


def schedule(name: str, **fields) -> Schedule:
    return Schedule(TrainConfig(**BASE, schedule=name, **fields), STEPS)


def rates(name: str, **fields) -> list[float]:
    found = schedule(name, **fields)
    return [found.rate(step) for step in range(STEPS)]


def test_constant_is():
    assert set(rates("constant")) == {0.1}


def test_cosine_falls_from_the_highest_to_the_lowest_rate_half_of_it_in_the_middle():
    found = rates("cosine")
    assert found[0] == 0.1
    assert found[STEPS // 2] == pytest.approx((0.1 + 1e-4) / 2)
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(1e-4, abs=1e-6)
    assert schedule("cosine").rate(STEPS) == 1e-4


@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.3334, 0.999])
def test_one_cycle_rises_in_a_line_then_falls_without_a_jump(warmup):
    found = rates("one_cycle", warmup=warmup)
    top = math.ceil(warmup * STEPS)
    assert found[0] == pytest.approx(0.1 / 25 if warmup else 0.1)
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert max(found) == pytest.approx(0.1, rel=1e-2)
    assert schedule("one_cycle", warmup=warmup).rate(STEPS) == pytest.approx(1e-4)
    rise = 0.1 / max(1, warmup * STEPS)
    fall = math.pi / 2 * 0.1 / (STEPS * (1 - warmup))
    jumps = [abs(a - b) for a, b in zip(found, found[1:])]
    assert max(jumps) <= max(rise, fall) * 1.01


def through_json(found: Schedule, name: str, **fields) -> Schedule:
    other = schedule(name, **fields)
    other.state = json.loads(json.dumps(found.state))
    return other


def test_plateau_halves_after_so_many_epochs_without_a_better_val_loss():
    found, seen = schedule("plateau", plateau=2), []
    for val_loss in (1.0, 0.9, 0.9, 0.95, 0.8, 0.8, 0.8, 0.8, 0.8):
        assert found.end_epoch(val_loss)
        found = through_json(found, "plateau", plateau=2)
        seen.append(found.rate(0) / 0.1)
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_plateau_ends_at_the_lowest_rate():
    found = schedule("plateau", plateau=1)
    for _ in range(50):
        found.end_epoch(1.0)
    assert found.rate(0) == 1e-4


@pytest.mark.parametrize("name", ["constant", "plateau", "cosine", "one_cycle"])
def test_early_stopping_counts_epochs_since_the_best(name):
    found, going = schedule(name, early_stopping=3), []
    for val_loss in (1.0, 0.9, 0.95, 0.9, 0.8, 0.81, 0.82, 0.83):
        going.append(found.end_epoch(val_loss))
        found = through_json(found, name, early_stopping=3)
    assert going == [True] * 7 + [False]


def test_without_early_stopping_nothing_ends_training():
    found = schedule("cosine")
    assert all(found.end_epoch(1.0) for _ in range(100))


def scales(**fields) -> list[float]:
    found = schedule("constant", **fields)
    return [found.scale(step) for step in range(STEPS)]


def test_images_are_whole_unless_resizing_is_asked_for():
    assert set(scales()) == {1.0}


@pytest.mark.parametrize(
    "first, stages", [(0.5, [0.5, 0.75]), (0.25, [0.25, 0.5, 0.75]), (0.9, [0.9])]
)
def test_images_grow_in_equal_stages_and_are_whole_in_the_last_three_tenths(first, stages):
    found = scales(progressive_resizing=first)
    assert found == sorted(found)
    assert [found.count(scale) for scale in stages] == pytest.approx(
        [0.7 * STEPS / len(stages)] * len(stages), abs=1
    )
    assert found.count(1.0) == pytest.approx(0.3 * STEPS, abs=1)
