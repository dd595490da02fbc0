"""What the processes of the tests of `torch_parallel` run."""

import os

from components.training.torch_parallel import Part


def fail(_, part: Part) -> None:
    part.wait()
    if not part.first:
        raise ValueError("the second process has no images, expected some.")
    part.wait()


def vanish(_, part: Part) -> None:
    part.wait()
    if not part.first:
        os._exit(9)
    part.wait()


def fail_first(_, part: Part) -> None:
    part.wait()
    if part.first:
        raise ValueError("the first process has no images.")
    part.wait()
