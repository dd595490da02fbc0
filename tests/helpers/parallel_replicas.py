"""What the processes of the tests of `torch_parallel` run."""

import os

from components.training.torch_parallel import Replica


def fail(_, replica: Replica) -> None:
    replica.wait()
    if not replica.first:
        raise ValueError("the second process has no images, expected some.")
    replica.wait()


def vanish(_, replica: Replica) -> None:
    replica.wait()
    if not replica.first:
        os._exit(9)
    replica.wait()


def fail_first(_, replica: Replica) -> None:
    replica.wait()
    if replica.first:
        raise ValueError("the first process has no images.")
    replica.wait()
