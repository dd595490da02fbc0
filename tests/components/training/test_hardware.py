"""When trainings run at once, and with how many threads."""

import os

import pytest

from components.training import hardware
from components.training.hardware import (
    fit_beside_each_other,
    share_of_threads,
    trainings,
    trainings_in_line,
)


@pytest.fixture
def cores(monkeypatch):
    """Sets the cores that this process may use."""
    return lambda count: monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))


@pytest.mark.parametrize(
    "count, threads, fit",
    [(1, 0, False), (2, 0, True), (2, 1, True), (2, 2, False), (16, 8, True), (16, 9, False)],
)
def test_two_trainings_run_at_once_where_the_cores_are_enough_for_their_threads(
    cores, count, threads, fit
):
    cores(count)
    assert fit_beside_each_other(2, threads) is fit


@pytest.mark.parametrize("count, threads, share", [(2, 0, 1), (16, 0, 8), (3, 0, 1), (16, 4, 4)])
def test_each_has_its_share_of_the_cores_or_the_threads_that_were_asked_for(
    cores, count, threads, share
):
    cores(count)
    assert share_of_threads(2, threads) == share


def test_they_run_one_after_the_other_on_a_gpu_and_where_memory_is_short(cores, monkeypatch):
    cores(16)
    with monkeypatch.context() as patch:
        patch.setattr(hardware, "has_gpu", lambda: True)
        assert not fit_beside_each_other(2, 0)
    monkeypatch.setattr(hardware, "_MEMORY", 2**60)
    assert not fit_beside_each_other(2, 0)


def test_a_line_says_how_many_trainings_it_has_while_it_runs():
    with trainings_in_line(2):
        assert trainings() == 2
    assert trainings() == 1  # a step on its own, in a cluster for instance
