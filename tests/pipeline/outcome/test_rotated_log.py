import os
import subprocess

from pipeline.outcome.rotated_log import RotatedLog


def test_a_log_begins_anew_past_its_limit_for_every_process_that_writes_to_it(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("before\n")
    log = RotatedLog(path, limit=20)
    with log as descriptor:
        log.rotate()
        os.write(descriptor, b"more than there may be\n")
        log.rotate()
        subprocess.run(["echo", "of another process"], stdout=descriptor, check=True)
        log.rotate()
    assert path.read_text() == "of another process\n"
    assert (tmp_path / "log.1.txt").read_text() == "before\nmore than there may be\n"
    assert len(list(tmp_path.iterdir())) == 2
