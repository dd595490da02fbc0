"""The memory of a step, with whatever it starts."""

import subprocess
import sys
import time

from pipeline.line.memory import PeakMemory

HOLD = "import time; held = b'x' * {size}; print('held', flush=True); time.sleep(1.2)"


def test_the_peak_is_that_of_this_process_and_all_its_children_together():
    with PeakMemory() as nothing:
        pass
    size = 200 * 2**20
    children = [
        subprocess.Popen([sys.executable, "-c", HOLD.format(size=size)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for child in children:
        child.stdout.readline()
    with PeakMemory() as both:
        for child in children:
            child.communicate()
    assert 2 * size < both.bytes - nothing.bytes < 2.5 * size
    with PeakMemory() as after:
        pass
    assert after.bytes < nothing.bytes + size


def test_memory_that_was_given_back_is_remembered_and_an_error_passes_through():
    try:
        with PeakMemory() as peak:
            before = peak.bytes
            held = bytearray(b"x") * (150 * 2**20)
            time.sleep(1.2)
            del held
            raise ValueError
    except ValueError:
        assert peak.bytes > before + 140 * 2**20
