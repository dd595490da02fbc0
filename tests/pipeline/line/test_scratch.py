import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.line.scratch import folder, scratch

NAME = "import tempfile; print(tempfile.gettempdir())"


def test_temporary_files_of_a_run_and_its_processes_lie_together_and_go_with_it(tmp_path):
    before, place = (tempfile.gettempdir(), os.environ.get("TMPDIR")), folder(tmp_path)
    with scratch(tmp_path):
        done = subprocess.run([sys.executable, "-c", NAME], capture_output=True, text=True)
        assert done.stdout.strip() == tempfile.gettempdir() == str(place)
        Path(place, "left").touch()
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before and not place.exists()
    assert folder(tmp_path / "other") != place


def test_what_a_kill_left_is_removed_and_what_another_put_there_is_not_used(tmp_path):
    place = folder(tmp_path)
    place.mkdir()
    (place / "left").touch()
    with scratch(tmp_path):
        assert not list(place.iterdir())
    place.symlink_to(tmp_path)
    try:
        with scratch(tmp_path):
            assert tempfile.gettempdir() == str(place.parent)
    finally:
        place.unlink()
