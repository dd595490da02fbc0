"""What a person wants to see of a run's steps, beside its verdict."""

import contextlib
import os
import shutil
from pathlib import Path

from components.base import atomic
from pipeline.outcome.verdict import MISTAKES, SAMPLES, SAMPLES_DARK

KEPT = ("preview.png", "findings.csv", "images.csv", SAMPLES, SAMPLES_DARK, MISTAKES)


def keep_files(source: Path, directory: Path, link: bool = False) -> None:
    """Takes them from a step's output, or from the run before, into a run's `directory`.

    With `link` they are the same files, which nobody writes to any more, and take no room.
    """
    for name in KEPT:
        with contextlib.suppress(OSError):
            if link:
                with contextlib.suppress(OSError):  # of file systems without hard links
                    os.link(source / name, directory / name)
                    continue
            with atomic.replacing(directory / name) as temporary:
                shutil.copyfile(source / name, temporary)
