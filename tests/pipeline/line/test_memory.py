"""The memory of a step, with whatever it starts. Measured in processes of their own: what other
tests left in this one comes and goes meanwhile."""

import subprocess
import sys

MIB = 2**20

WITH_CHILDREN = f"""
import subprocess, sys
from pipeline.line.memory import PeakMemory

hold = "import time; held = b'x' * {200 * MIB}; print('held', flush=True); time.sleep(1.2)"
with PeakMemory() as before:
    pass
children = [
    subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) for _ in range(2)
]
for child in children:
    child.stdout.readline()
with PeakMemory() as both:
    for child in children:
        child.communicate()
with PeakMemory() as after:
    pass
print(before.bytes, both.bytes, after.bytes)
"""

GIVEN_BACK = f"""
import time
from pipeline.line.memory import PeakMemory

try:
    with PeakMemory() as peak:
        before = peak.bytes
        held = bytearray(b"x") * {150 * MIB}
        time.sleep(1.2)
        del held
        raise ValueError
except ValueError:
    print(before, peak.bytes)
"""


def test_the_peak_is_that_of_this_process_and_all_its_children_together():
    before, both, after = measured(WITH_CHILDREN)
    assert 400 * MIB < both - before < 500 * MIB
    assert after < before + 200 * MIB


def test_memory_that_was_given_back_is_remembered_and_an_error_passes_through():
    before, peak = measured(GIVEN_BACK)
    assert peak > before + 140 * MIB


def measured(code: str) -> list[int]:
    process = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    return [int(number) for number in process.stdout.split()]
