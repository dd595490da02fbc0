"""Temporary files of a run in a folder of its own, so that the next one finds what a kill left."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def folder(root: Path) -> Path:
    """Where the runs of that output root keep temporary files, one run at a time; a short path, as
    those of sockets must be."""
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"darkroom-{digest}"


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[None]:
    """Empties that folder and has this process and its children use it; removes it afterwards.

    Where somebody else owns such a folder, or there is no room, all stays as it was.
    """
    place, before = folder(root), (tempfile.tempdir, os.environ.get("TMPDIR"))
    shutil.rmtree(place, ignore_errors=True)
    try:
        place.mkdir(mode=0o700)
    except OSError:
        yield
        return
    tempfile.tempdir = os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[1]
        shutil.rmtree(place, ignore_errors=True)
