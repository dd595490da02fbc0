"""The order in which the runner starts nodes, without TFX's."""

import threading

import pytest

from components.base.without import OF_TFX, without

with without(*OF_TFX):
    from pipeline.line.runner import _run_in_order


class Node:
    """Waits for `until`, if any, and notes that it ran."""

    def __init__(self, name: str, ran: list[str], until: threading.Event | None = None):
        self.name, self._ran, self._until = name, ran, until

    def run(self) -> None:
        if self._until is not None:
            assert self._until.wait(30)
        self._ran.append(self.name)


class Sets(Node):
    """Sets `event`, for others that run at the same time."""

    def __init__(self, name: str, ran: list[str], event: threading.Event):
        super().__init__(name, ran)
        self._event = event

    def run(self) -> None:
        super().run()
        self._event.set()


class Fails(Node):
    def run(self) -> None:
        super().run()
        raise ValueError(f"{self.name} failed")


def test_a_node_runs_after_those_upstream_of_it_and_beside_all_others():
    ran: list[str] = []
    event = threading.Event()
    keras, torch = Node("train_keras", ran, event), Sets("train_torch", ran, event)
    first, last = Node("pack", ran), Node("gates", ran)
    _run_in_order(
        {
            last: ["train_keras", "train_torch"],
            keras: ["pack"],
            torch: ["pack", "a node that is skipped"],
            first: [],
        }
    )
    assert ran == ["pack", "train_torch", "train_keras", "gates"]


def test_the_first_that_fails_is_raised_once_the_others_have_ended_and_nothing_follows():
    ran: list[str] = []
    event = threading.Event()
    failing, beside = Fails("train_keras", ran), Node("train_torch", ran, event)
    releasing = threading.Timer(0.3, event.set)
    releasing.start()
    with pytest.raises(ValueError, match="train_keras failed"):
        _run_in_order({failing: [], beside: [], Node("gates", ran): ["train_keras"]})
    assert ran == ["train_keras", "train_torch"]
